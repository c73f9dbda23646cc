//! The objectives of texts alone compared with what `transformers` and PyTorch say
//! (tests/record_adaptation.py), and how tokens are hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis, IxDyn, concatenate};
use serde::Deserialize;

use super::masked_lm::{MaskedTexts, MaskedTokens, Told, inputs, units};
use super::simcse::Simcse;
use super::tsdae::{DeletedTexts, Tsdae};
use crate::engine::backend::binding::Feed;
use crate::engine::graph::autodiff::gradients;
use crate::engine::samples::harness::{execute, near};
use crate::engine::{Dim, Graph, Kernels, Place, TensorFact};
use crate::model::input_layout::InputLayout;
use crate::model::masked::MaskedHead;
use crate::model::{
    ENCODERS, Embedder, HeadForm, Network, NetworkOptions, Pooling, Pretrained, Weights, init,
    weights,
};
use crate::stages::inference::predict;
use crate::stages::train::objective::contract::{MicroBatch, Objective};
use crate::text::TokenizedText;

type Tested = Result<(), Box<dyn std::error::Error>>;

#[derive(Deserialize)]
struct Recorded {
    masked: Vec<Masked>,
    simcse: Vec<Twins>,
    tsdae: Vec<Deleted>,
}

#[derive(Deserialize)]
struct Masked {
    model: String,
    ids: Vec<Vec<u32>>,
    shown: Vec<Vec<u32>>,
    hidden: Vec<[usize; 2]>,
    loss: f64,
    gradients: String,
}

#[derive(Deserialize)]
struct Deleted {
    model: String,
    ids: Vec<Vec<u32>>,
    kept: Vec<Vec<u32>>,
    loss: f64,
    tensors: String,
}

#[derive(Deserialize)]
struct Twins {
    temperature: f64,
    vectors: [Vec<Vec<f64>>; 2],
    loss: f64,
    gradients: [Vec<Vec<f64>>; 2],
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn recorded() -> Result<Recorded, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&fs_err::read(data("adaptation/expected.json"))?)?)
}

fn texts(ids: Vec<Vec<u32>>) -> Vec<TokenizedText> {
    ids.into_iter().map(|ids| TokenizedText { ids, ..TokenizedText::default() }).collect()
}

/// Returns rows as one array.
fn array(rows: &[Vec<f64>]) -> ArrayD<f64> {
    let width = rows.first().map_or(0, Vec::len);
    let values = rows.concat();
    ArrayD::from_shape_fn(IxDyn(&[rows.len(), width]), |at| values[at[0] * width + at[1]])
}

fn feed(array: &ArrayD<f32>) -> Feed {
    Feed::F32(array.shape().to_vec(), array.iter().copied().collect())
}

#[test]
fn telling_hidden_tokens_is_that_of_transformers() -> Tested {
    for Masked { model, ids, shown, hidden, loss, gradients: gradients_of } in recorded()?.masked {
        let pretrained = Pretrained::read_with_masked_head(&data(&model))?;
        let config = &pretrained.config;
        let head = MaskedHead::to_train(config, &pretrained.weights)?;
        assert!(head.is_trained(), "{model}");
        let (tokens, shown) = (texts(ids), texts(shown));
        let settings = MaskedTokens::default();
        let objective = MaskedTexts {
            settings: &settings,
            head: &head,
            tokens: &tokens,
            units: Vec::new(),
            mask: 0,
            vocabulary: config.vocabulary as u32,
        };
        let options =
            NetworkOptions { packed: true, ..NetworkOptions::inference(config, Place::Host) };
        let network = head.network(config, options, None)?;
        let shown: Vec<&TokenizedText> = shown.iter().collect();
        let mut feeds = predict::feeds(InputLayout::of(config), &shown);
        let count = hidden.len();
        let tokens: Vec<&TokenizedText> = tokens.iter().collect();
        let told = hidden.into_iter().map(|[text, place]| Told { text, place, by: place });
        feeds.extend(inputs(&tokens, told, 1.0 / count as f32));
        let weights = pretrained.weights.all()?;
        // The files have the names of the whole model.
        let expected = weights::read_whole(&data("adaptation").join(gradients_of))?;
        let expected = expected.into_iter().map(|(name, array)| {
            let own = name.strip_prefix(config.encoder.prefix).unwrap_or(&name);
            (own.to_owned(), array)
        });
        let expected = (loss, expected.collect());
        same_gradients(&model, (&objective, network), (feeds, &weights), expected)?;
    }
    Ok(())
}

/// Compares a loss and its gradients by parameter with those that are expected.
fn same_gradients(
    model: &str,
    (objective, mut network): (&dyn Objective, Network),
    (mut feeds, weights): (Vec<(String, Feed)>, &Weights),
    (loss, expected): (f64, BTreeMap<String, ArrayD<f32>>),
) -> Tested {
    let scalar = objective.graph(&mut network)?;
    let g = &mut network.graph;
    let names: Vec<String> = g.parameters().map(|(name, _)| name.to_owned()).collect();
    let wanted: Vec<_> = g.parameters().map(|(_, var)| var).collect();
    for (name, gradient) in names.iter().zip(gradients(g, scalar, &wanted)?) {
        g.output(&format!("d {name}"), gradient.ok_or_else(|| name.clone())?);
    }
    g.output("loss", scalar);
    for name in &names {
        let array = weights.get(name).ok_or_else(|| format!("{model}: no {name}"))?;
        feeds.push((name.clone(), feed(array)));
    }
    let found = execute(g, feeds)?;
    let of_loss = found["loss"].first().copied().map_or(f64::NAN, f64::from);
    assert!((of_loss - loss).abs() < 1e-5 * loss, "{model}: {of_loss}, expected {loss}");
    assert_eq!(expected.keys().collect::<BTreeSet<_>>(), names.iter().collect(), "{model}");
    // The gradients of some are nothing at all, such as those of the biases of keys.
    let values = expected.values().flat_map(|array| array.iter());
    let largest = values.fold(0.0_f32, |largest, value| largest.max(value.abs()));
    for name in &names {
        let (expected, found) = (&expected[name], &found[&format!("d {name}")]);
        assert_eq!(found.shape(), expected.shape(), "{model}, {name}");
        let off = found.iter().zip(expected.iter()).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0_f32, f32::max);
        assert!(off <= 1e-5 * largest, "{model}, {name}: {off} of {largest}");
    }
    Ok(())
}

/// With and without the rows of padding.
#[test]
fn telling_a_text_by_some_of_its_words_is_that_of_sentence_transformers() -> Tested {
    for Deleted { model, ids, kept, loss, tensors } in recorded()?.tsdae {
        let pretrained = Pretrained::read_with_masked_head(&data(&model))?;
        let config = &pretrained.config;
        let head = MaskedHead::to_train(config, &pretrained.weights)?;
        let (tokens, kept) = (texts(ids), texts(kept));
        let settings = Tsdae::default();
        let padding_id = InputLayout::of(config).padding_id;
        let objective = DeletedTexts {
            settings: &settings,
            head: &head,
            tokens: &tokens,
            units: Vec::new(),
            vocabulary: config.vocabulary,
            padding_id,
        };
        let mut weights = pretrained.weights.all()?.into_owned();
        let mut expected = BTreeMap::new();
        for (name, array) in weights::read_whole(&data("adaptation").join(tensors))? {
            let own =
                |name: &str| name.strip_prefix(config.encoder.prefix).unwrap_or(name).to_owned();
            match name.strip_prefix("gradient.") {
                Some(name) => expected.insert(own(name), array),
                None => weights.insert(own(&name), array),
            };
        }
        for packed in [true, false] {
            let options =
                NetworkOptions { packed, ..NetworkOptions::inference(config, Place::Host) };
            let form = HeadForm::Linear(Embedder::of(Pooling::Mean));
            let network = objective.network(config, &form, options, None)?;
            let kept: Vec<&TokenizedText> = kept.iter().collect();
            let mut feeds = predict::feeds(InputLayout::of(config), &kept);
            let all: Vec<usize> = (0..tokens.len()).collect();
            feeds.extend(objective.feeds(&part(&all, &all)));
            let expected = (loss, expected.clone());
            same_gradients(&model, (&objective, network), (feeds, &weights), expected)?;
        }
    }
    Ok(())
}

/// Six words in ten go, whole ones, and never all.
#[test]
fn words_are_deleted() -> Tested {
    let pretrained = Pretrained::read(&data("tiny-bert"))?;
    let head = MaskedHead::to_train(&pretrained.config, &pretrained.weights)?;
    // The ends stay; two tokens are a word.
    let words = |count: u32| {
        let inner = (0..2 * count).map(|place| Some(place / 2));
        [None].into_iter().chain(inner).chain([None]).collect::<Vec<_>>()
    };
    let counts: Vec<u32> = (0..300).map(|text| 1 + text % 20).collect();
    let tokens = texts(counts.iter().map(|count| (0..2 * count + 2).collect()).collect());
    let settings = Tsdae::default();
    let objective = DeletedTexts {
        settings: &settings,
        head: &head,
        tokens: &tokens,
        units: counts.iter().map(|&count| units(&words(count), true)).collect(),
        vocabulary: 1000,
        padding_id: 0,
    };
    let all: Vec<usize> = (0..300).collect();
    let (mut kept, mut longest) = (0, 0);
    for (text, whole) in tokens.iter().enumerate() {
        let members = [text];
        let read = objective.read(&part(&members, &all), text, whole).into_owned().ids;
        assert_eq!(read, objective.read(&part(&all, &all), text, whole).ids, "other parts");
        assert_eq!((read[0], read.last()), (0, whole.ids.last()));
        let inner = &read[1..read.len() - 1];
        assert!(!inner.is_empty(), "{text}");
        assert!(inner.chunks(2).all(|word| word[0] % 2 == 1 && word[1] == word[0] + 1), "{read:?}");
        if counts[text] == 20 {
            kept += inner.len() / 2;
            longest += 20;
        }
    }
    let share = kept as f64 / f64::from(longest);
    assert!((share - 0.4).abs() < 0.09, "{share}");
    let total = |members: &[usize]| match &objective.feeds(&part(members, &all))[2].1 {
        Feed::F32(_, shares) => shares.iter().sum::<f32>(),
        Feed::I64(..) => f32::NAN,
    };
    let parts: f32 = all.chunks(7).map(total).sum();
    assert!((parts - 1.0).abs() < 1e-4, "{parts}");
    Ok(())
}

#[test]
fn telling_twins_is_pytorchs() -> Tested {
    for Twins { temperature, vectors, loss, gradients: expected } in recorded()?.simcse {
        let [one, two] = vectors.map(|rows| array(&rows));
        let texts = one.shape()[0];
        let z = concatenate(Axis(0), &[one.view(), two.view()])?;
        let mut g = Graph::new(Kernels::Fused);
        let shape = vec![Dim::Named("B"), Dim::Fixed(z.shape()[1])];
        let input = g.input("z", TensorFact::f32(shape));
        let unit = g.scaled_to_one(input)?;
        let scalar = Simcse { temperature }.loss(&mut g, unit)?;
        let gradient = gradients(&mut g, scalar, &[input])?[0].ok_or("no gradient")?;
        g.output("loss", scalar);
        g.output("gradient", gradient);
        for batches in [1, 2] {
            let mut feeds = Simcse::inputs(texts, batches);
            feeds.push(("z".to_owned(), feed(&z.mapv(|value| value as f32))));
            let mut found = execute(&g, feeds)?;
            let of_loss = found["loss"].first().copied().map_or(f64::NAN, f64::from);
            let share = loss / batches as f64;
            assert!((of_loss - share).abs() < 1e-5 * share, "{of_loss}, expected {share}");
            let both = expected.each_ref().map(|rows| array(rows));
            let both = concatenate(Axis(0), &[both[0].view(), both[1].view()])?;
            let found = found.remove("gradient").ok_or("no gradient")?;
            near(&found, &(both / batches as f64), 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn words_are_hidden_together() {
    let words = vec![None, Some(0), Some(1), Some(1), None, Some(1), Some(2), None];
    assert_eq!(units(&words, true), [vec![1], vec![2, 3], vec![5], vec![6]]);
    assert_eq!(units(&words, false), [[1], [2], [3], [5], [6]]);
    assert!(units(&vec![None, None], true).is_empty());
}

fn part<'a>(members: &'a [usize], batch: &'a [usize]) -> MicroBatch<'a> {
    MicroBatch { members, batch, batches: 1, key: 0, batch_key: 5 }
}

/// A fifth is hidden, eight in ten of it by the mask, one by another token; parts of a batch
/// hide what the batch hides.
#[test]
fn shares_of_tokens_are_hidden() -> Tested {
    let pretrained = Pretrained::read(&data("tiny-bert"))?;
    let head = MaskedHead::to_train(&pretrained.config, &pretrained.weights)?;
    let tokens = texts((0..400).map(|text| vec![7; 22 + text % 2]).collect());
    let words = |text: &TokenizedText| {
        let word = |place: usize| (1..21).contains(&place).then_some(place as u32 / 2);
        (0..text.ids.len()).map(word).collect()
    };
    let settings = MaskedTokens { probability: 0.2, whole_words: true };
    let objective = MaskedTexts {
        settings: &settings,
        head: &head,
        tokens: &tokens,
        units: tokens.iter().map(|text| units(&words(text), true)).collect(),
        mask: 4,
        vocabulary: 1000,
    };
    let batch: Vec<usize> = (0..400).collect();
    let (mut masks, mut others, mut all) = (0, 0, 0);
    for (text, tokens) in tokens.iter().enumerate() {
        let members = [text];
        let part = part(&members, &batch);
        let read = objective.read(&part, text, tokens).into_owned();
        let feeds = objective.feeds(&part);
        let (Feed::I64(_, rows), Feed::F32(_, shares)) = (&feeds[0].1, &feeds[2].1) else {
            return Err("other inputs".into());
        };
        assert_eq!(shares.len(), rows.len());
        assert!((1..=4).contains(&rows.len()), "{rows:?}");
        assert!(rows.iter().all(|row| (1..21).contains(row)), "{rows:?}");
        let rows: BTreeSet<usize> = rows.iter().map(|row| *row as usize).collect();
        for (place, id) in read.ids.iter().enumerate() {
            assert!(*id == 7 || rows.contains(&place), "{place} is not hidden");
        }
        all += rows.len();
        masks += rows.iter().filter(|place| read.ids[**place] == 4).count();
        others += rows.iter().filter(|place| ![4, 7].contains(&read.ids[**place])).count();
    }
    assert!((1500..=1600).contains(&all), "{all}");
    let share = |count: usize| count as f64 / all as f64;
    assert!((share(masks) - 0.8).abs() < 0.04, "{}", share(masks));
    assert!((share(others) - 0.1).abs() < 0.03, "{}", share(others));
    let total = |members: &[usize]| match &objective.feeds(&part(members, &batch))[2].1 {
        Feed::F32(_, shares) => shares.iter().sum::<f32>(),
        Feed::I64(..) => f32::NAN,
    };
    assert!((total(&batch) - 1.0).abs() < 1e-4);
    let parts: f32 = batch.chunks(7).map(total).sum();
    assert!((parts - 1.0).abs() < 1e-4, "{parts}");
    Ok(())
}

/// A folder without a head gets the architecture's own, tied to the word table.
#[test]
fn a_new_head_is_drawn() -> Tested {
    for model in ["tiny-bert", "tiny-albert", "tiny-modernbert", "tiny-roberta", "tiny-mpnet"] {
        let pretrained = Pretrained::read_with_all_heads(&data(model))?;
        let head = MaskedHead::to_train(&pretrained.config, &pretrained.weights)?;
        let options = NetworkOptions::inference(&pretrained.config, Place::Host);
        let network = head.network(&pretrained.config, options, None)?;
        let Pretrained { config, weights, .. } = &pretrained;
        let is_there = |name: &str, shape: &[usize]| weights.shape(name) == Some(shape);
        let drawn: BTreeSet<String> =
            init::missing(&network.graph, config, is_there, 3).into_keys().collect();
        let names: BTreeSet<String> = head.names(config)?.into_iter().collect();
        assert!(!drawn.is_empty() && drawn.is_subset(&names), "{model}: {drawn:?}");
        assert!(names.iter().all(|name| network.graph.marks(name).head), "{model}");
    }
    Ok(())
}

/// In every architecture whose layers decode, a token is told from those before it and from the
/// vector of its text; of two forms of kernels, both say the same.
#[test]
fn decoders_look_back_and_at_their_vector() -> Tested {
    let mut seen = BTreeSet::new();
    for model in [
        "tiny-bert",
        "tiny-roberta",
        "tiny-electra",
        "tiny-distilbert",
        "tiny-albert",
        "tiny-mpnet",
        "tiny-deberta-v2",
    ] {
        let Pretrained { config, mut weights, .. } = Pretrained::read_with_all_heads(&data(model))?;
        seen.insert(config.encoder.model_types[0].0);
        let head = MaskedHead::to_train(&config, &weights)?;
        let layout = InputLayout::of(&config);
        let (settings, units) = (Tsdae::default(), Vec::new());
        let mut logits = |read: [u32; 3], decoded: [u32; 5], kernels: Kernels| {
            let tokens = texts(vec![decoded.to_vec(), vec![7, 8]]);
            let objective = DeletedTexts {
                settings: &settings,
                head: &head,
                tokens: &tokens,
                units: units.clone(),
                vocabulary: config.vocabulary,
                padding_id: layout.padding_id,
            };
            let options =
                NetworkOptions { kernels, ..NetworkOptions::inference(&config, Place::Host) };
            let form = HeadForm::Linear(Embedder::of(Pooling::Mean));
            let Network { graph: mut g, output, .. } =
                objective.network(&config, &form, options, None)?;
            let is_there = |name: &str, shape: &[usize]| weights.shape(name) == Some(shape);
            let drawn = init::missing(&g, &config, is_there, 3);
            weights.extend(drawn);
            g.output("logits", output);
            let shown = texts(vec![read.to_vec(), vec![5]]);
            let mut feeds = predict::feeds(layout, &shown.iter().collect::<Vec<_>>());
            feeds.extend(objective.feeds(&part(&[0, 1], &[0, 1])));
            let all = weights.all()?;
            for (name, _) in g.parameters() {
                feeds.push((name.to_owned(), feed(&all[name])));
            }
            // A row for each of the four tokens that the first text tells, and one of the second.
            let found = execute(&g, feeds)?.remove("logits").ok_or("no logits")?;
            Ok::<_, Box<dyn std::error::Error>>(found)
        };
        let whole = logits([9, 10, 11], [20, 21, 22, 23, 24], Kernels::Fused)?;
        assert_eq!(whole.shape()[0], 5, "{model}");
        let same = |other: &ArrayD<f32>, row: usize| {
            let (one, other) = (whole.index_axis(Axis(0), row), other.index_axis(Axis(0), row));
            let off = one.iter().zip(other.iter()).map(|(one, other)| (one - other).abs());
            off.fold(0.0, f32::max) < 2e-5
        };
        let later = logits([9, 10, 11], [20, 21, 22, 33, 24], Kernels::Fused)?;
        let is_same: Vec<bool> = (0..5).map(|row| same(&later, row)).collect();
        assert_eq!(is_same, [true, true, true, false, true], "{model}");
        let of_another = logits([9, 12, 11], [20, 21, 22, 23, 24], Kernels::Fused)?;
        let is_same: Vec<bool> = (0..5).map(|row| same(&of_another, row)).collect();
        assert_eq!(is_same, [false, false, false, false, true], "{model}");
        let standard = logits([9, 10, 11], [20, 21, 22, 23, 24], Kernels::Standard)?;
        assert!((0..5).all(|row| same(&standard, row)), "{model}");
    }
    let decoders = ENCODERS.iter().filter(|encoder| encoder.decodes);
    let expected: BTreeSet<&str> = decoders.map(|encoder| encoder.model_types[0].0).collect();
    assert_eq!(seen, expected);
    Ok(())
}
