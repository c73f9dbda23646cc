//! What a model begins with, and what it has seen: both follow it from stage to stage and from
//! folder to folder.

use std::collections::BTreeSet;
use std::path::Path;

use pipe::data::{DataSet, Example};
use serde_json::{Value, json};

use super::project::{Project, TestError, data};

/// Copies a folder's files.
fn copy(from: &Path, to: &Path) -> Result<(), TestError> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        fs_err::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A pipeline that trains on `data` from a folder, and scores on `other`.
fn pipeline(loads: &str, pretrained: &str, train: &str, evaluate: &str) -> String {
    format!(
        "version: 1\nstages:\n{loads}  tuned: {{ train: {{ data: data, model: {{ pretrained: \
         {pretrained} }}, epochs: 1, max_length: 24{train} }} }}\n  score: {{ evaluate: {{ model: \
         tuned, data: other{evaluate} }} }}\n"
    )
}

fn texts(examples: &[Example]) -> BTreeSet<String> {
    examples.iter().map(|example| example.text.to_string()).collect()
}

/// Runs a pipeline that leaks with `duplicates: allow`, and says how many test texts of `other` the
/// data sets in `seen` have in train or dev.
fn expected(project: &Project, seen: &[&str]) -> Result<usize, TestError> {
    let mut known = BTreeSet::new();
    for stage in seen {
        let data = DataSet::read(&project.artifact(stage)?)?;
        known.extend(texts(&data.splits.train));
        known.extend(texts(&data.splits.dev));
    }
    let other = DataSet::read(&project.artifact("other")?)?;
    Ok(other.splits.test.iter().filter(|it| known.contains(&it.text.to_string())).count())
}

#[test]
fn texts_that_a_model_has_seen_elsewhere_are_found() -> Result<(), TestError> {
    let model = data("tiny-bert");
    let split = |seed: u32| format!("split: {{ test: 0.3, dev: 0.2, seed: {seed} }}");
    let load = |name: &str, file: &str, seed: u32| {
        format!("  {name}: {{ load: {{ path: {file}, {} }} }}\n", split(seed))
    };
    let base = load("base", "texts.csv", 0);
    let grown = "  data: { augment: { data: base, methods: [random_swap: { copies: 1 }] } }\n";
    for (what, loads, seen) in [
        (
            "another split of the same file",
            load("data", "texts.csv", 0) + &load("other", "texts.csv", 1),
            "data",
        ),
        (
            "another file with the same texts",
            load("data", "texts.csv", 0) + &load("other", "copy.csv", 1),
            "data",
        ),
        (
            "a data set that another is derived from",
            format!("{base}{grown}{}", load("other", "texts.csv", 1)),
            "base",
        ),
    ] {
        let allowed = pipeline(&loads, &model, "", ", duplicates: allow");
        let project = Project::with(60, &allowed)?;
        fs_err::copy(project.path("texts.csv"), project.path("copy.csv"))?;
        let said = project.run(&[])?;
        let (count, all) = (expected(&project, &[seen])?, 18);
        assert!(count > 0, "{what}");
        let line =
            format!("{count} of {all} test texts are among those that `tuned` has learnt from");
        assert!(said.err.contains(&line), "{what}: {}", said.err);
        project.write("x.yaml", &pipeline(&loads, &model, "", ""))?;
        let said = project.pipe(&["run", "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{what}");
        let line = format!(
            "{count} of {all} test texts of `other` are among those that `tuned` has learnt from:"
        );
        let one_line = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [line.as_str(), ", seen in train: \"", "`duplicates: allow`"] {
            assert!(one_line.contains(part), "{what}: {}", said.err);
        }
    }
    Ok(())
}

#[test]
fn what_was_seen_goes_with_a_saved_model() -> Result<(), TestError> {
    let loads = "  data: { load: { path: texts.csv, split: { test: 0.3, dev: 0.2 } } }\n  other: { \
                 load: { path: texts.csv, split: { test: 0.3, dev: 0.2 } } }\n";
    let project = Project::with(60, &pipeline(loads, &data("tiny-bert"), "", ""))?;
    // The same split twice leaks nothing.
    project.run(&[])?;
    copy(&project.artifact("tuned")?, &project.path("saved"))?;
    let other = loads.replace("dev: 0.2 }", "dev: 0.2, seed: 1 }");
    project.write("x.yaml", &pipeline(&other, "saved", "", ""))?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.code == Some(1) && said.err.contains("dev texts of `data` are"), "{}", said.err);
    project.write("x.yaml", &pipeline(&other, "saved", ", duplicates: allow", ""))?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.code == Some(1) && said.err.contains("test texts of `other` are"), "{}", said.err);
    // Texts that it helps to choose pass on what it has seen, to dev too.
    let grown = other.clone()
        + "  grown: { augment: { data: data, methods: [random_swap: { copies: 1 }], keep: { \
           pretrained: saved } } }\n";
    let base = pipeline(&grown, &data("tiny-bert"), "", "")
        .replace("data: data, model", "data: grown, model");
    project.write("x.yaml", &base)?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("a model that made texts of `grown` has learnt"), "{}", said.err);
    // Going on with the same split is what one does.
    project.write("x.yaml", &pipeline(loads, "saved", "", ""))?;
    project.run(&[])?;
    Ok(())
}

#[test]
fn a_classifier_goes_on_with_its_classes_by_name() -> Result<(), TestError> {
    let loads = "  other: { load: { path: texts.csv, split: { test: 0.4 } } }\n";
    let train = |pretrained: &str, rate: &str| {
        pipeline(
            loads,
            pretrained,
            &format!(", optimizer: {{ adamw: {{ learning_rate: {rate} }} }}"),
            "",
        )
        .replace("data: data,", "data: other,")
    };
    let first = train(&data("tiny-bert"), "3e-3").replace("epochs: 1,", "epochs: 20,");
    let project = Project::with(90, &first)?;
    project.run(&[])?;
    copy(&project.artifact("tuned")?, &project.path("saved"))?;
    let predicted = |project: &Project| -> Result<Vec<String>, TestError> {
        let evaluation = project.evaluation("score")?;
        let names = evaluation.labels.clone();
        Ok(evaluation.predictions.iter().map(|row| names[row.prediction].clone()).collect())
    };
    project.write("x.yaml", &train("saved", "1e-12"))?;
    let said = project.run(&[])?;
    assert!(said.err.contains("tensors loaded; head kept"), "{}", said.err);
    let kept = predicted(&project)?;
    assert!(kept.iter().collect::<BTreeSet<_>>().len() > 1, "{kept:?}");

    // The same rows under each other's names.
    let file = project.path("saved/config.json");
    let mut config: Value = serde_json::from_slice(&fs_err::read(&file)?)?;
    let labels: Vec<String> = (0..3)
        .filter_map(|id| Some(config["id2label"][id.to_string()].as_str()?.to_owned()))
        .collect();
    let turned = [&labels[1], &labels[2], &labels[0]];
    config["id2label"] = json!({"0": turned[0], "1": turned[1], "2": turned[2]});
    config["label2id"] = json!({turned[0]: 0, turned[1]: 1, turned[2]: 2});
    fs_err::write(&file, config.to_string())?;
    let said = project.run(&[])?;
    assert!(said.err.contains("rows put in the order of the data's classes"), "{}", said.err);
    let expected: Vec<String> = kept
        .iter()
        .filter_map(|name| labels.iter().position(|label| label == name))
        .map(|row| turned[row].clone())
        .collect();
    assert_eq!(predicted(&project)?, expected);
    assert!(project.results()?[0].initial_weights.contains("rows put in the order"));

    config["id2label"] = json!({"0": "cat", "1": "dog", "2": "emu"});
    config["label2id"] = json!({"cat": 0, "dog": 1, "emu": 2});
    fs_err::write(&file, config.to_string())?;
    let said = project.run(&[])?;
    assert!(said.err.contains("drawn anew: the folder's is for the classes"), "{}", said.err);
    Ok(())
}
