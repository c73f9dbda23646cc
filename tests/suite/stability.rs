//! What steadies a training: averages, rates by layer, new top layers, the pull towards the
//! beginning, R-Drop and mixup, on whole trainings of a tiny model.

use std::collections::BTreeMap;

use super::project::{Project, TestError, data};

const TABLE: &str = "bert.embeddings.word_embeddings.weight";
const RATE: &str = "optimizer: { adamw: { learning_rate: 1e-3 } }";

/// Each stage trains on the same data with its own settings.
fn pipeline(stages: &[(&str, &str)]) -> String {
    let mut text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.2, \
                    dev: 0.1 } } }\n"
        .to_owned();
    for (name, settings) in stages {
        text += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: {} }}, batch_size: 8, \
             {settings} }} }}\n",
            data("tiny-bert")
        );
    }
    text
}

fn trained(stages: &[(&str, &str)]) -> Result<Project, TestError> {
    let project = Project::with(80, &pipeline(stages))?;
    project.run(&["--threads", "1"])?;
    Ok(project)
}

/// Returns the largest difference of two models' weights.
fn apart(one: &BTreeMap<String, Vec<f32>>, two: &BTreeMap<String, Vec<f32>>) -> f32 {
    let differences = one.iter().flat_map(|(name, values)| {
        values.iter().zip(&two[name]).map(|(one, two)| (one - two).abs())
    });
    differences.fold(0.0, f32::max)
}

fn summary(project: &Project, stage: &str, field: &str) -> Result<serde_json::Value, TestError> {
    let file = fs_err::read(project.artifact(stage)?.join("training.json"))?;
    let training: serde_json::Value = serde_json::from_slice(&file)?;
    Ok(training["summary"][field].clone())
}

/// The mean of the weights after the last steps is that of trainings that end there.
#[test]
fn averages_are_those_of_the_steps() -> Result<(), TestError> {
    let budget = |steps: u64| format!("budget: {{ steps: {steps} }}, dropout: 0.1, {RATE}");
    let mean = format!("average: {{ last: 0.25 }}, {}", budget(8));
    let moving = format!("average: {{ ema: {{ decay: {{ given: 0.5 }} }} }}, {}", budget(2));
    let project = trained(&[
        ("mean", &mean),
        ("moving", &moving),
        ("one", &budget(1)),
        ("two", &budget(2)),
        ("seven", &budget(7)),
        ("eight", &budget(8)),
        ("still", "budget: { steps: 1 }, optimizer: { sgd: { learning_rate: 1e-30 } }"),
    ])?;
    let weights = |stage: &str| project.weights(stage);
    let mix = |parts: &[(&BTreeMap<String, Vec<f32>>, f32)]| -> BTreeMap<String, Vec<f32>> {
        let sum = |name: &String, place: usize| {
            parts.iter().map(|(weights, share)| weights[name][place] * share).sum::<f32>()
        };
        let all = |(name, values): (&String, &Vec<f32>)| {
            (name.clone(), (0..values.len()).map(|place| sum(name, place)).collect())
        };
        parts[0].0.iter().map(all).collect()
    };
    let (seven, eight) = (weights("seven")?, weights("eight")?);
    assert!(apart(&seven, &eight) > 1e-4);
    let expected = mix(&[(&seven, 0.5), (&eight, 0.5)]);
    assert!(apart(&weights("mean")?, &expected) < 1e-6);
    let (zero, one, two) = (weights("still")?, weights("one")?, weights("two")?);
    let expected = mix(&[(&zero, 0.25), (&one, 0.25), (&two, 0.5)]);
    assert!(apart(&weights("moving")?, &expected) < 1e-6);
    Ok(())
}

#[test]
fn a_paused_training_goes_on_with_its_averages() -> Result<(), TestError> {
    for settings in [
        "average: { ema: {} }, dropout: 0.1, epochs: 4",
        "average: { last: 0.8 }, regularise: { l2_sp: 0.1 }, epochs: 4",
        "average: { last: 0.1 }, loss: { mixup: {} }, epochs: 4",
        "regularise: { mixout: { probability: 0.8 } }, dropout: 0, epochs: 4",
        "loss: { mixup: { at: { layers: [0, 1, 2] }, alpha: 16 } }, epochs: 4",
    ] {
        let settings = |stop: &str| format!("{settings}, {stop}{RATE}");
        let whole = trained(&[("it", &settings(""))])?;
        let paused = Project::with(80, &pipeline(&[("it", &settings("stop_after: 2, "))]))?;
        paused.pipe(&["run", "x.yaml", "--threads", "1"])?;
        paused.write("x.yaml", &pipeline(&[("it", &settings(""))]))?;
        let said = paused.run(&["--threads", "1"])?;
        assert!(said.err.contains("resuming after epoch 2"), "{}", said.err);
        assert_eq!(whole.weights("it")?, paused.weights("it")?);
    }
    Ok(())
}

/// One step of AdamW moves each weight by its rate.
#[test]
fn layers_learn_at_their_own_rates() -> Result<(), TestError> {
    let settings = |more: &str| {
        format!(
            "budget: {{ steps: 1 }}, gradient_clip: null, optimizer: {{ adamw: {{ learning_rate: \
             1e-3, weight_decay: 0, epsilon: 1e-20{more} }} }}"
        )
    };
    let (decayed, plain) = (settings(", layer_decay: 0.5"), settings(""));
    let still = "budget: { steps: 1 }, optimizer: { sgd: { learning_rate: 1e-30 } }";
    let project = trained(&[("decayed", &decayed), ("plain", &plain), ("still", still)])?;
    let (decayed, plain) = (project.weights("decayed")?, project.weights("plain")?);
    let still = project.weights("still")?;
    let moved = |weights: &BTreeMap<String, Vec<f32>>, name: &str| {
        let steps = weights[name].iter().zip(&still[name]).map(|(now, then)| (now - then).abs());
        steps.fold(0.0, f32::max)
    };
    for (name, factor) in [
        ("classifier.weight", 1.0),
        ("bert.pooler.dense.weight", 1.0),
        ("bert.encoder.layer.1.output.dense.weight", 0.5),
        ("bert.encoder.layer.0.output.dense.weight", 0.25),
        (TABLE, 0.125),
    ] {
        let (found, whole) = (moved(&decayed, name), moved(&plain, name));
        assert!((whole / 1e-3 - 1.0).abs() < 1e-2, "{name}: {whole}");
        assert!((found / (whole * factor) - 1.0).abs() < 1e-2, "{name}: {found} of {whole}");
    }
    Ok(())
}

#[test]
fn a_pull_keeps_weights_near_their_beginning() -> Result<(), TestError> {
    let settings =
        |more: &str| format!("{more}epochs: 6, optimizer: {{ sgd: {{ learning_rate: 0.1 }} }}");
    let (free, pulled) = (settings(""), settings("regularise: { l2_sp: 2 }, "));
    let still = "budget: { steps: 1 }, optimizer: { sgd: { learning_rate: 1e-30 } }";
    let project = trained(&[("free", &free), ("pulled", &pulled), ("still", still)])?;
    let without_head = |stage: &str| -> Result<BTreeMap<String, Vec<f32>>, TestError> {
        let mut weights = project.weights(stage)?;
        weights.retain(|name, _| name.starts_with("bert.encoder"));
        Ok(weights)
    };
    let still = without_head("still")?;
    let (free, pulled) =
        (apart(&without_head("free")?, &still), apart(&without_head("pulled")?, &still));
    assert!(pulled > 0.0 && pulled < 0.8 * free, "{pulled} {free}");
    Ok(())
}

/// Mixout pulls towards the beginning: the less of a change is kept, the more each kept one counts,
/// and what is saved is an ordinary model.
#[test]
fn mixed_weights_are_saved_as_they_are() -> Result<(), TestError> {
    let settings = |more: &str| {
        format!("{more}dropout: 0, epochs: 3, optimizer: {{ adamw: {{ learning_rate: 1e-3 }} }}")
    };
    let mixed = |probability: f64| {
        settings(&format!("regularise: {{ mixout: {{ probability: {probability} }} }}, "))
    };
    let still = "regularise: { mixout: {} }, dropout: 0, budget: { steps: 1 }, optimizer: { sgd: { \
                 learning_rate: 1e-30 } }";
    let plain = settings("");
    let (some, most) = (mixed(0.5), mixed(0.9));
    let project =
        trained(&[("plain", &plain), ("some", &some), ("most", &most), ("still", still)])?;
    let weights = |stage: &str| project.weights(stage);
    let (plain, some, most) = (weights("plain")?, weights("some")?, weights("most")?);
    assert_eq!(plain.keys().collect::<Vec<_>>(), some.keys().collect::<Vec<_>>());
    assert!(apart(&plain, &some) > 1e-4 && apart(&some, &most) > 1e-4);
    // Before a step has changed them, weights that are mixed with the first ones are these.
    let first = project.curves("still")?.0.first().ok_or("no step")?.loss;
    let begun = trained(&[(
        "still",
        "dropout: 0, budget: { steps: 1 }, optimizer: { sgd: { learning_rate: 1e-30 } }",
    )])?;
    let alone = begun.curves("still")?.0.first().ok_or("no step")?.loss;
    assert!((first - alone).abs() < 1e-6, "{first} {alone}");
    Ok(())
}

#[test]
fn new_top_layers_are_told_and_r_drop_reads_twice() -> Result<(), TestError> {
    let project = trained(&[
        ("anew", &format!("reinitialise: 1, epochs: 1, {RATE}")),
        ("twice", &format!("loss: {{ r_drop: {{}} }}, dropout: 0.1, epochs: 2, {RATE}")),
        (
            "parted",
            &format!(
                "loss: {{ r_drop: {{}} }}, dropout: 0.1, max_tokens_per_step: 40, epochs: 2, {RATE}"
            ),
        ),
        ("mixed", &format!("loss: {{ mixup: {{}} }}, epochs: 2, {RATE}")),
        (
            "within",
            &format!("loss: {{ mixup: {{ at: {{ layers: [1, 2] }} }} }}, epochs: 2, {RATE}"),
        ),
        ("once", &format!("dropout: 0.1, epochs: 2, {RATE}")),
    ])?;
    let told = summary(&project, "anew", "initial_weights")?.to_string();
    assert!(told.contains("`encoder.layer` (16 tensors)"), "{told}");
    assert!(told.contains("`pooler.dense` (2 tensors)"), "{told}");
    let encodings = |stage: &str| -> Result<u64, TestError> {
        Ok(summary(&project, stage, "encodings")?.as_u64().ok_or("no count")?)
    };
    assert_eq!(encodings("twice")?, 2 * encodings("once")?);
    assert_eq!(encodings("parted")?, 2 * encodings("once")?);
    assert!(summary(&project, "parted", "parts")?.as_u64() > Some(2));
    assert_eq!(encodings("mixed")?, encodings("once")?);
    assert_eq!(encodings("within")?, encodings("once")?);
    assert!(apart(&project.weights("within")?, &project.weights("mixed")?) > 1e-4);
    for stage in ["twice", "mixed", "within"] {
        let curves = project.curves(stage)?.0;
        let (first, last) = (curves.first().ok_or("none")?, curves.last().ok_or("none")?);
        assert!(last.loss.is_finite() && first.loss.is_finite(), "{stage}");
    }
    Ok(())
}

#[test]
fn what_makes_no_sense_together_is_said() -> Result<(), TestError> {
    let said = |model: &str, settings: &str, command: &str| -> Result<String, TestError> {
        let pipeline = pipeline(&[("it", settings)]).replace(&data("tiny-bert"), &data(model));
        let project = Project::with(40, &pipeline)?;
        let said = project.pipe(&[command, "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{settings}");
        // Messages are wrapped.
        Ok(said.err.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for (settings, wants) in [
        ("average: { last: 0 }", "expected a number above 0, found 0"),
        ("average: { last: 1.5 }", "expected a share from 0 to 1, found 1.5"),
        ("average: { ema: {} }, best_checkpoint: loss", "but `average` keeps those of many"),
        ("average: { ema: {} }, backend: training_api", "does not show its weights"),
        ("average: { ema: {} }, method: { probe: {} }", "has no use for `average`"),
        (
            "freeze: encoder, optimizer: { adamw: { layer_decay: 0.9 } }",
            "trains the head alone, which is no layer",
        ),
        ("optimizer: { adamw: { layer_decay: 2 } }", "expected a share from 0 to 1, found 2"),
        ("reinitialise: 0", "expected at least 1, found 0"),
        ("reinitialise: 1, adapters: bitfit", "mean nothing before they are trained whole"),
        ("reinitialise: 1, method: { lp_ft: {} }", "vectors that already mean something"),
        ("regularise: { l2_sp: 0.1 }, freeze: encoder", "keeps near their beginning"),
        ("regularise: { l2_sp: 0 }", "expected a number above 0, found 0"),
        ("loss: { r_drop: {}, mixup: {} }", "but `mixup` mixes texts"),
        ("loss: { r_drop: {} }, dropout: 0", "are the same without dropout"),
        ("loss: { mixup: {} }, method: { contrastive: {} }", "has no use for `loss.mixup`"),
        ("loss: { mixup: { alpha: 0 } }", "expected a number above 0, found 0"),
        ("loss: { mixup: { at: { layers: [] } } }", "no number of layers is given"),
        ("loss: { mixup: { at: { layers: [1, 1] } } }", "1 is given twice"),
        (
            "loss: { mixup: { at: { layers: [1] } } }, windows: { stride: 2 }, max_length: 16",
            "states are mixed of whole texts, not of windows",
        ),
        ("loss: { mixup: { at: { layers: [1] } } }, backend: training_api", "plain cross-entropy"),
        (
            "regularise: { mixout: { probability: 1 } }",
            "expected a share from 0 to below 1, found 1",
        ),
        ("regularise: { mixout: { probability: 0 } }", "expected a number above 0, found 0"),
        ("regularise: { mixout: {} }, adapters: bitfit", "keeps near their beginning"),
        ("regularise: { mixout: {} }, freeze: encoder", "keeps near their beginning"),
        ("regularise: { mixout: {} }, backend: training_api", "does not know the first weights"),
        ("regularise: { mixout: {} }, method: { probe: {} }", "has no use for `regularise`"),
    ] {
        let found = said("tiny-bert", settings, "validate")?;
        assert!(found.contains(wants), "{settings}: {found}");
    }
    for (model, settings, wants) in [
        ("tiny-bert", "reinitialise: 3", "`reinitialise: 3` exceeds the model's 2 layers"),
        ("tiny-albert", "reinitialise: 1", "the layers of this model share their weights"),
        (
            "tiny-bert",
            "loss: { mixup: { at: { layers: [1, 3] } } }",
            "has 3, which exceeds the model's 2 layers",
        ),
    ] {
        let found = said(model, settings, "run")?;
        assert!(found.contains(wants), "{model} {settings}: {found}");
    }
    Ok(())
}

#[test]
fn no_sentence_encoder_forgets_its_top() -> Result<(), TestError> {
    let pipeline = pipeline(&[("it", "reinitialise: 1")]).replace(&data("tiny-bert"), "model");
    let project = Project::with(40, &pipeline)?;
    fs_err::create_dir_all(project.path("model/1_Pooling"))?;
    for entry in fs_err::read_dir(data("tiny-bert"))? {
        let entry = entry?;
        if entry.path().is_file() {
            fs_err::copy(entry.path(), project.path("model").join(entry.file_name()))?;
        }
    }
    for file in ["modules.json", "1_Pooling/config.json"] {
        let from = data(&format!("sentences/mean/{file}"));
        fs_err::copy(from, project.path("model").join(file))?;
    }
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.err.contains("would destroy the vectors"), "{}", said.err);
    Ok(())
}
