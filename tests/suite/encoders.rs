//! The encoders against what `transformers` and PyTorch said of the same weights
//! (tests/record_transformers.py).

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::ArrayD;
use safetensors::SafeTensors;
use serde_json::Value;

use pipe::base::report::Silent;
use pipe::engine::backend::binding::{Feed, Parameters, packing_of};
use pipe::engine::graph::packing::WHOLE_TEXTS;
use pipe::engine::{
    AdamW, Device, Inference, Kernels, OptimizerConfig, ParameterGroup, Part, Place, Precision,
    Recipe, Runtime, SessionTrainer, Trainer,
};
use pipe::model::input_layout::InputLayout;
use pipe::model::{
    Config, Dropout, Encoder, Head, Network, NetworkOptions, Pretrained, TrainableNetwork,
};
use pipe::stages::inference::predict;

pub(super) type Checked = Result<(), Box<dyn Error>>;

const MODELS: [&str; 13] = [
    "tiny-bert",
    "tiny-distilbert",
    "tiny-roberta",
    "tiny-mpnet",
    "tiny-electra",
    "tiny-albert",
    "tiny-albert-groups",
    "tiny-modernbert",
    "tiny-deberta-v2",
    "tiny-deberta-v2-v2",
    "tiny-nomic-bert",
    "tiny-gte",
    "tiny-gte-ntk",
];
pub(super) const KERNELS: [Kernels; 2] = [Kernels::Fused, Kernels::Standard];
pub(super) const LABELS: usize = 3;

pub(super) fn folder(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(model)
}

pub(super) fn json(model: &str, file: &str) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs_err::read(folder(model).join(file))?)?)
}

pub(super) fn runtime() -> Result<&'static Runtime, Box<dyn Error>> {
    Ok(Runtime::get(Device::Cpu, 2, &Silent)?)
}

pub(super) fn without_dropout(mut config: Config) -> Config {
    (config.hidden_dropout, config.attention_dropout, config.classifier_dropout) = (0.0, 0.0, 0.0);
    config
}

pub(super) fn rows(value: &Value) -> Result<Vec<Vec<f64>>, serde_json::Error> {
    serde_json::from_value(value.clone())
}

/// The inputs of a recorded batch.
pub(super) fn feeds(config: &Config, batch: &Value) -> Result<Vec<(String, Feed)>, Box<dyn Error>> {
    let (ids, mask) = (rows(&batch["input_ids"])?, rows(&batch["attention_mask"])?);
    let shape = vec![ids.len(), ids[0].len()];
    let first = InputLayout::of(config).first_position;
    let flat =
        |rows: &[Vec<f64>]| rows.concat().into_iter().map(|value| value as i64).collect::<Vec<_>>();
    let positions = mask
        .iter()
        .flat_map(|row| {
            row.iter().enumerate().map(|(place, &seen)| {
                if seen == 0.0 { (first - 1).max(0) } else { first + place as i64 }
            })
        })
        .collect();
    let mut feeds = packing_of(&flat(&mask), &WHOLE_TEXTS).to_vec();
    feeds.extend([
        ("input_ids".to_owned(), Feed::I64(shape.clone(), flat(&ids))),
        ("attention_mask".to_owned(), Feed::I64(shape.clone(), flat(&mask))),
        ("position_ids".to_owned(), Feed::I64(shape, positions)),
    ]);
    Ok(feeds)
}

fn parameters(pretrained: &Pretrained) -> Result<Parameters, Box<dyn Error>> {
    let weights = pretrained.weights.all()?;
    Ok(Parameters::new(Place::Host, weights.iter().map(|(name, array)| (name.as_str(), array)))?)
}

#[test]
fn logits_are_those_of_transformers() -> Checked {
    for model in MODELS {
        let pretrained = Pretrained::read(&folder(model))?;
        let expected = json(model, "expected.json")?;
        for kernels in KERNELS {
            for (positions_in_graph, packed) in [(false, false), (true, false), (false, true)] {
                let word_rows = pretrained.config.vocabulary;
                let options = NetworkOptions {
                    kernels,
                    dropout: Dropout::Off,
                    word_rows,
                    positions_in_graph,
                    packed,
                };
                let mut network = Network::new(&pretrained.config, Head::Auto, LABELS, options)?;
                network.graph.output("logits", network.output);
                let mut inference =
                    Inference::new(runtime()?, &network.graph, &parameters(&pretrained)?)?;
                let found = inference.run(feeds(&pretrained.config, &expected["forward"])?)?;
                let wanted = rows(&expected["forward"]["logits"])?.concat();
                assert_eq!(found.len(), wanted.len());
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert!(
                        (f64::from(*found) - wanted).abs() < 1e-5,
                        "{model} {kernels:?}: {found} {wanted}"
                    );
                }
            }
        }
    }
    Ok(())
}

fn trainer(
    pretrained: &Pretrained,
    kernels: Kernels,
    gradient_clip: Option<f32>,
    precision: Precision,
) -> Result<SessionTrainer, Box<dyn Error>> {
    trainer_of(
        pretrained,
        without_dropout(pretrained.config.clone()),
        kernels,
        gradient_clip,
        precision,
    )
}

fn trainer_of(
    pretrained: &Pretrained,
    config: Config,
    kernels: Kernels,
    gradient_clip: Option<f32>,
    precision: Precision,
) -> Result<SessionTrainer, Box<dyn Error>> {
    let options = NetworkOptions {
        kernels,
        dropout: Dropout::Keyed,
        word_rows: config.vocabulary,
        positions_in_graph: false,
        packed: true,
    };
    let TrainableNetwork { network, loss } =
        TrainableNetwork::classifier(&config, Head::Auto, LABELS, options)?;
    let names: Vec<String> = network.graph.parameters().map(|(name, _)| name.to_owned()).collect();
    let (spared, decaying): (Vec<String>, Vec<String>) =
        names.iter().cloned().partition(|name| network.graph.marks(name).no_decay);
    let groups = [(decaying, 0.01), (spared, 0.0)].map(|(parameters, weight_decay)| {
        ParameterGroup { parameters, learning_rate: 1e-3, weight_decay, pull: 0.0 }
    });
    let optimizer = OptimizerConfig {
        update: Arc::new(AdamW::default()),
        gradient_clip,
        groups: groups.to_vec(),
    };
    let recipe = Recipe { loss, trainable: names, optimizer, precision };
    Ok(SessionTrainer::new(runtime()?, network.graph, parameters(pretrained)?, recipe)?)
}

/// Takes the step and returns its loss.
pub(super) fn loss_of_update(
    trainer: &mut SessionTrainer,
    learning_rate: f64,
) -> Result<f64, Box<dyn Error>> {
    trainer.update(&vec![learning_rate; trainer.groups()])?;
    Ok(f64::from(trainer.outcomes()?.pop().ok_or("no outcome")?.loss()))
}

pub(super) fn with_targets(
    mut feeds: Vec<(String, Feed)>,
    labels: &Value,
) -> Result<Vec<(String, Feed)>, Box<dyn Error>> {
    let labels: Vec<usize> = serde_json::from_value(labels.clone())?;
    let share = 1.0 / labels.len() as f32;
    let values = labels
        .iter()
        .flat_map(|&label| (0..LABELS).map(move |class| if class == label { share } else { 0.0 }))
        .collect();
    feeds.push(("targets".to_owned(), Feed::F32(vec![labels.len(), LABELS], values)));
    Ok(feeds)
}

/// Recorded gradients by the name that the parameter has relative to the encoder.
fn recorded_gradients(
    model: &str,
    encoder: &Encoder,
) -> Result<BTreeMap<String, ArrayD<f32>>, Box<dyn Error>> {
    let file = fs_err::read(folder(model).join("gradients.safetensors"))?;
    let mut gradients = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(&file)?.tensors() {
        let values =
            view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let name = name.strip_prefix(encoder.prefix).unwrap_or(&name).to_owned();
        gradients.insert(name, ArrayD::from_shape_vec(view.shape().to_vec(), values)?);
    }
    Ok(gradients)
}

#[test]
fn one_step_has_pytorchs_loss_and_gradients() -> Checked {
    for model in MODELS {
        let pretrained = Pretrained::read(&folder(model))?;
        let step = json(model, "expected.json")?["step"].clone();
        let wanted = recorded_gradients(model, pretrained.config.encoder)?;
        for kernels in KERNELS {
            let mut trainer = trainer(&pretrained, kernels, None, Precision::Fp32)?;
            let feeds = with_targets(feeds(&pretrained.config, &step)?, &step["labels"])?;
            trainer.accumulate(runtime()?, feeds, Part::whole(0))?;
            let loss = loss_of_update(&mut trainer, 0.0)?;
            let wanted_loss = step["loss"].as_f64().ok_or("no loss")?;
            assert!(
                (loss - wanted_loss).abs() < 1e-6,
                "{model} {kernels:?}: loss {loss}, PyTorch {wanted_loss}"
            );
            let names = trainer.trainable().to_vec();
            assert_eq!(names.len(), wanted.len(), "{model}");
            let norm = |array: &ArrayD<f32>| {
                array.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
            };
            let largest = wanted.values().map(norm).fold(0.0, f64::max);
            for (index, name) in names.iter().enumerate() {
                let (found, wanted) = (trainer.gradient(index)?, &wanted[name]);
                let error = norm(&(&found - wanted));
                // A bias of the keys moves all scores of a query alike, so its gradient is 0 but
                // for rounding.
                if norm(wanted) < 1e-6 * largest {
                    assert!(
                        error < 1e-6 * largest,
                        "{model} {kernels:?} {name}: {error} beside {largest}"
                    );
                } else {
                    let relative = error / norm(wanted);
                    assert!(
                        relative < 1e-5,
                        "{model} {kernels:?} {name}: relative error {relative}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Masks are the same numbers whether a kernel makes them or they are given, in the head's few rows
/// too.
#[test]
fn dropout_is_the_same_with_both_kinds_of_kernels() -> Checked {
    for model in MODELS {
        let pretrained = Pretrained::read(&folder(model))?;
        let config = Config {
            hidden_dropout: 0.2,
            attention_dropout: 0.2,
            classifier_dropout: 0.2,
            ..pretrained.config.clone()
        };
        let step = json(model, "expected.json")?["step"].clone();
        let losses = KERNELS.map(|kernels| -> Result<f64, Box<dyn Error>> {
            let mut trainer =
                trainer_of(&pretrained, config.clone(), kernels, None, Precision::Fp32)?;
            let feeds = with_targets(feeds(&pretrained.config, &step)?, &step["labels"])?;
            trainer.accumulate(runtime()?, feeds, Part::whole(5))?;
            loss_of_update(&mut trainer, 0.0)
        });
        let [first, second] = losses;
        let (first, second, without) = (first?, second?, step["loss"].as_f64().ok_or("no loss")?);
        assert!(
            (first - second).abs() < 1e-5 && (first - without).abs() > 1e-4,
            "{model}: {first} {second}"
        );
    }
    Ok(())
}

#[test]
fn fifty_steps_follow_pytorchs_losses() -> Checked {
    let pretrained = Pretrained::read(&folder("tiny-bert"))?;
    let recorded = json("tiny-bert", "training.json")?;
    let wanted: Vec<f64> = serde_json::from_value(recorded["losses"].clone())?;
    assert_eq!(wanted.len(), 50);
    let texts: Vec<String> = serde_json::from_value(recorded["texts"].clone())?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = predict::tokenize(&pretrained, &texts, 24)?;
    let tokens: Vec<_> = tokens.iter().collect();
    let labels: Vec<Value> = serde_json::from_value(recorded["labels"].clone())?;
    // Lower precisions stay within a distance of what single precision gives.
    let low = [(Precision::Fp16, 2e-3), (Precision::Bf16, 2e-2)];
    let exact = KERNELS.map(|kernels| (kernels, Precision::Fp32, 1e-4));
    let low = low.map(|(precision, distance)| (Kernels::Standard, precision, distance));
    for (kernels, precision, distance) in exact.into_iter().chain(low) {
        let mut trainer = trainer(&pretrained, kernels, None, precision)?;
        for (step, wanted) in wanted.iter().enumerate() {
            let batch = if step % 2 == 0 { 0..4 } else { 4..8 };
            let feeds = predict::feeds(
                InputLayout { padding_id: 0, ..InputLayout::of(&pretrained.config) },
                &tokens[batch.clone()],
            );
            trainer.accumulate(
                runtime()?,
                with_targets(feeds, &Value::from(labels[batch].to_vec()))?,
                Part::whole(0),
            )?;
            let loss = loss_of_update(&mut trainer, 1e-3)?;
            assert!(
                (loss - wanted).abs() < distance,
                "{kernels:?} {precision:?} step {step}: {loss}, PyTorch {wanted}"
            );
        }
    }
    Ok(())
}
