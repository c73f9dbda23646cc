//! The methods for few labels: what they give, what they share, what they refuse.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use fs_err as fs;
use serde_json::Value;

use super::project::{Project, TestError, data};

/// A pipeline whose stages train on eight texts of each class.
fn pipeline(stages: &[(&str, &str)]) -> String {
    let mut text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3, \
                    dev: 0.1 }, shots: 8 } }\n"
        .to_owned();
    for (name, settings) in stages {
        text += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: \"{}\" }}, max_length: 16, \
             {settings} }} }}\n  {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n",
            data("tiny-bert")
        );
    }
    text
}

/// Returns how many entries of the cache are of each kind.
fn kinds(project: &Project) -> Result<BTreeMap<String, usize>, TestError> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(project.path(".pipe/cache"))? {
        let key = fs::read_to_string(entry?.path().join("key.json"))?;
        let material: Value = serde_json::from_str(&key)?;
        let kind = material["kind"].as_str().ok_or("no kind")?;
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    Ok(kinds)
}

const STEPS: &str = "budget: { steps: 6 }";

/// Every method gives a model that is evaluated, with what it has cost; run again in another
/// project, it is the same to the last bit.
#[test]
fn every_method_repeats() -> Result<(), TestError> {
    let steps = |method: &str| format!("method: {{ {method} }}, {STEPS}");
    let stages = [
        ("probe", "method: { probe: {} }".to_owned()),
        ("lda", "method: { probe: { classifier: { lda: {} }, calibrate: folds } }".to_owned()),
        (
            "means",
            "method: { probe: { classifier: { prototypes: {} } } }, label_texts: auto".to_owned(),
        ),
        ("zero", "method: { probe: { classifier: zero_shot } }".to_owned()),
        ("near", "method: { probe: { classifier: { knn: { k: 3 } }, prior: uniform } }".to_owned()),
        ("nearer", steps("contrastive: { classifier: knn }")),
        ("any", "method: { probe: { classifier: auto, prior: uniform } }".to_owned()),
        ("pairs", steps("contrastive: {}")),
        ("supcon", steps("contrastive: { loss: { supcon: {} } }")),
        ("triplet", steps("contrastive: { loss: triplet }")),
        ("setfit", steps("contrastive: { loss: { setfit: { iterations: 2 } } }")),
        ("lp_ft", steps("lp_ft: {}")),
        ("begun", format!("method: {{ fine_tune: {{}} }}, label_texts: auto, {STEPS}")),
    ];
    let stages: Vec<(&str, &str)> =
        stages.iter().map(|(name, settings)| (*name, settings.as_str())).collect();
    let project = Project::with(80, &pipeline(&stages))?;
    project.run(&[])?;
    let rows = project.results()?;
    assert_eq!(rows.len(), stages.len());
    let of = |stage: &str| rows.iter().find(|row| row.stage == format!("{stage}_score"));
    let read = |stage: &str| of(stage).and_then(|row| row.encodings);
    assert_eq!((read("probe"), read("lp_ft")), (Some(0), Some(3 * 24)));
    // All texts and label texts at a time; without label texts, sixteen pairs of texts.
    assert_eq!((read("pairs"), read("setfit")), (Some(6 * 27), Some(6 * 32)));
    assert_eq!(of("pairs").map(|row| row.method.as_str()), Some("contrastive"));
    assert!(of("probe").is_some_and(|row| row.chosen.starts_with("C ")), "{rows:?}");
    assert!(of("near").is_some_and(|row| row.chosen.starts_with("k 3, temperature ")), "{rows:?}");
    assert!(of("nearer").is_some_and(|row| row.chosen.starts_with("k 5, temp")), "{rows:?}");
    assert!(of("any").is_some_and(|row| row.chosen.contains("lda")), "{rows:?}");
    // Probes and LP-FT share the vectors of each list of texts: train, dev, test and labels.
    assert_eq!(kinds(&project)?.get("vectors"), Some(&4));
    let other = Project::with(80, &pipeline(&stages))?;
    other.run(&["-j", "2"])?;
    other.outcome()?.assert_same(&project.outcome()?);
    Ok(())
}

/// A sweep over probes reads every text once.
#[test]
fn probes_of_a_sweep_encode_nothing_twice() -> Result<(), TestError> {
    let probe = "method: { probe: { classifier: { logistic_regression: { c: 1 } } } }";
    let project = Project::with(80, &pipeline(&[("probe", probe)]))?;
    let c = "stages.probe.train.method.probe.classifier.logistic_regression.c=0.1,1,10,100";
    let said = project.pipe(&["sweep", "x.yaml", c, "--csv"])?;
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 5), "{}", said.err);
    assert_eq!(kinds(&project)?.get("vectors"), Some(&3));
    Ok(())
}

/// The choice between methods looks at train alone, and says what it saw; a recipe is scored on
/// folds by the same trainings.
#[test]
fn folds_choose_and_score() -> Result<(), TestError> {
    let contrastive = format!("method: {{ contrastive: {{}} }}, {STEPS}");
    let auto = "method: { auto: { candidates: [{ probe: {} }, { fine_tune: {} }], folds: 2 } }";
    let stages = [("tuned", contrastive.as_str()), ("chosen", auto)];
    let text = pipeline(&stages)
        + "  honest: { evaluate: { model: tuned, data: data, on: folds, folds: 2 } }\n";
    let project = Project::with(80, &text)?;
    project.run(&[])?;
    let rows = project.results()?;
    let chosen = rows.iter().find(|row| row.stage == "chosen_score").ok_or("no row")?;
    for part in ["out of 2 folds: probe ", "; fine_tune "] {
        assert!(chosen.chosen.contains(part), "{}", chosen.chosen);
    }
    let honest = rows.iter().find(|row| row.stage == "honest").ok_or("no row")?;
    assert_eq!((honest.split.as_str(), honest.n), ("folds", 24));
    assert_eq!(kinds(&project)?.get("training"), Some(&4), "two of each of two methods");
    assert_eq!(project.evaluation("honest")?.predictions.len(), 24);
    Ok(())
}

#[test]
fn a_killed_choice_goes_on() -> Result<(), TestError> {
    let auto = "method: { auto: { candidates: [{ probe: {} }, { fine_tune: {} }] } }";
    let project = Project::with(80, &pipeline(&[("chosen", auto)]))?;
    project.run(&[])?;
    let whole = project.outcome()?;
    // As if the program had been killed before the model was stored: the folds are there.
    let folder = project.artifact("chosen")?;
    fs::remove_dir_all(folder.parent().ok_or("no entry")?)?;
    let said = project.run(&[])?;
    assert!(said.err.contains("chosen: done"), "{}", said.err);
    project.outcome()?.assert_same(&whole);
    Ok(())
}

/// Killed again and again, whatever it is at, a method ends with the model of an undisturbed run.
#[test]
fn killed_methods_end_as_undisturbed_ones() -> Result<(), TestError> {
    let steps = "budget: { steps: 30 }";
    let pipeline = pipeline(&[
        ("probe", "method: { probe: {} }"),
        ("pairs", &format!("method: {{ contrastive: {{}} }}, {steps}")),
        ("setfit", &format!("method: {{ contrastive: {{ loss: {{ setfit: {{}} }} }} }}, {steps}")),
        ("lp_ft", &format!("method: {{ lp_ft: {{}} }}, {steps}")),
    ]);
    let (calm, killed) = (Project::with(80, &pipeline)?, Project::with(80, &pipeline)?);
    calm.run(&["--threads", "1"])?;
    for milliseconds in [150, 300, 450, 600, 750, 900] {
        let mut command = killed.command(&["run", "x.yaml", "--threads", "1"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        sleep(Duration::from_millis(milliseconds));
        child.kill()?;
        child.wait()?;
    }
    killed.run(&["--threads", "1"])?;
    killed.outcome()?.assert_same(&calm.outcome()?);
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() -> Result<(), TestError> {
    for (settings, message) in [
        ("method: { probe: {} }, epochs: 3", "`method: probe` has no use for `epochs`"),
        ("method: { probe: {} }, freeze: encoder", "has no use for `freeze`"),
        ("method: { contrastive: {} }, early_stopping: {}", "no use for `early_stopping`"),
        ("method: { auto: {} }, batch_size: 8", "no use for `batch_size`"),
        ("method: { auto: { candidates: [{ probe: {} }] } }", "there is nothing to choose from"),
        ("method: { probe: { classifier: { lda: { shrinkage: 2 } } } }", "found 2"),
        ("method: { probe: { prior: { given: { a: 0.5, b: 0.1 } } } }", "with the sum 1"),
        ("method: { contrastive: { loss: { supcon: { temperature: 0 } } } }", "above 0"),
        ("label_texts: { template: about }", "expected `{}` in the place of the label"),
        ("method: { probe: { folds: 1 } }", "expected at least 2 folds, found 1"),
        ("method: { prob: {} }", "did you mean `probe`?"),
        ("method: { probe: {} }, label_texts: auto", "has no use for `label_texts`"),
        ("method: { contrastive: {} }, freeze: encoder", "it is the encoder that learns"),
        ("method: { contrastive: {} }, batch_size: 2", "expected at least 4, found 2"),
        ("method: { probe: { classifier: { knn: { k: 0 } } } }", "at least 1"),
        (
            "method: { probe: { classifier: knn, calibrate: folds } }",
            "the classifier has its own temperature",
        ),
        ("method: { probe: { classifier: knn } }, label_texts: auto", "no use for `label_texts`"),
        (
            "method: { lp_ft: { classifier: knn } }",
            "nothing is trained through a count of the nearest texts",
        ),
        (
            "method: { probe: { classifier: { prototypes: {} }, calibrate: folds } }",
            "the classifier has its own temperature",
        ),
        (
            "method: { contrastive: {} }, schedule: { reduce_on_plateau: { monitor: dev_loss } }",
            "is fitted after the training",
        ),
    ] {
        let project = Project::with(80, &pipeline(&[("x", settings)]))?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        assert!(said.code != Some(0) && said.err.contains(message), "{settings}: {}", said.err);
    }
    for (settings, message) in [
        (
            "method: { contrastive: {} }, label_texts: { given: { positive: a, perhaps: b } }",
            "`label_texts` names `perhaps`, which is not a label of the data",
        ),
        (
            "method: { probe: { classifier: zero_shot } }, label_texts: none",
            "needs label texts, and there are none",
        ),
        (
            "method: { probe: { folds: 9 } }",
            "9 folds are asked for, and the class `negative` has 8 train texts",
        ),
        (
            "method: { probe: { classifier: { knn: { k: 99 } } } }",
            "expected no more than there are points",
        ),
        (
            "method: { probe: { prior: { given: { positive: 1 } } } }",
            "no share for the label `negative`",
        ),
    ] {
        let project = Project::with(80, &pipeline(&[("x", settings)]))?;
        let said = project.pipe(&["run", "x.yaml"])?;
        assert!(said.code != Some(0) && said.err.contains(message), "{settings}: {}", said.err);
    }
    Ok(())
}

/// Two candidates of one method do not go on from each other's unfinished folds: each is what it is
/// alone.
#[test]
fn candidates_of_one_method_stay_apart() -> Result<(), TestError> {
    let loss = |loss: &str| format!("{{ contrastive: {{ loss: {loss} }} }}");
    let (one, two) = (loss("triplet"), loss("{ supcon: {} }"));
    let auto = |candidates: &[&String]| {
        let list: Vec<&str> = candidates.iter().map(|it| it.as_str()).collect();
        format!("method: {{ auto: {{ candidates: [{}], folds: 2 }} }}", list.join(", "))
    };
    let (both, turned) = (auto(&[&one, &two]), auto(&[&two, &one]));
    let project = Project::with(80, &pipeline(&[("both", &both)]))?;
    project.run(&[])?;
    let other = Project::with(80, &pipeline(&[("turned", &turned)]))?;
    other.run(&[])?;
    let figures = |project: &Project| -> Result<Vec<String>, TestError> {
        let chosen = project.results()?[0].chosen.clone();
        let parts = chosen.split(['(', ';', ')']).filter(|part| part.contains(", nll "));
        let mut figures: Vec<String> = parts
            .filter_map(|part| Some(part.trim().split_once(char::is_numeric)?.1.to_owned()))
            .collect();
        figures.sort();
        Ok(figures)
    };
    assert_eq!(figures(&project)?.len(), figures(&other)?.len());
    assert_eq!(kinds(&project)?.get("training"), Some(&4));
    Ok(())
}

/// One text of a class is too little for folds, and says so; C can be given.
#[test]
fn one_text_of_a_class_needs_a_given_c() -> Result<(), TestError> {
    let text = |method: &str| pipeline(&[("x", method)]).replace("shots: 8", "shots: 1");
    let project = Project::with(80, &text("method: { probe: {} }"))?;
    let said = project.pipe(&["run", "x.yaml"])?;
    let message = "has one train text, and folds need two of each class";
    assert!(said.code != Some(0) && said.err.contains(message), "{}", said.err);
    let given = "method: { probe: { classifier: { logistic_regression: { c: 1 } } } }";
    project.write("x.yaml", &text(given))?;
    project.run(&[])?;
    project.write("x.yaml", &text("method: { auto: {} }"))?;
    let said = project.pipe(&["run", "x.yaml"])?;
    let message = "has 1 train texts, and 2 folds need 4 of each class";
    assert!(said.err.contains(message), "{}", said.err);
    Ok(())
}

/// A generated text would tell what its original says.
#[test]
fn folds_refuse_generated_texts() -> Result<(), TestError> {
    let text = pipeline(&[("x", "method: { auto: {} }")])
        .replace("data: data, model", "data: more, model")
        + "  more: { augment: { data: data, methods: [{ random_swap: {} }] } }\n";
    let project = Project::with(80, &text)?;
    let said = project.pipe(&["validate", "x.yaml"])?;
    assert!(said.err.contains("the train texts hold generated ones"), "{}", said.err);
    // A head may be fitted to them: they are in the folds of their originals.
    project.write("x.yaml", &text.replace("auto: {}", "probe: {}"))?;
    project.run(&[])?;
    Ok(())
}

/// The model of nearest texts is opened like any other, and one that goes on from it leaves the
/// count behind.
#[test]
fn nearest_texts_are_kept_in_the_model() -> Result<(), TestError> {
    let near = "method: { probe: { classifier: knn } }";
    let project = Project::with(80, &pipeline(&[("near", near)]))?;
    project.run(&[])?;
    let folder = project.artifact("near")?;
    let config: Value = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
    assert_eq!(config["pipe_nearest"], serde_json::json!({ "texts": 24, "k": 5 }));
    let weights = project.weights("near")?;
    assert_eq!(weights["classifier.votes"].len(), 24 * 3);
    assert!(weights.contains_key("classifier.vectors"));
    assert!(!weights.contains_key("classifier.weight"), "no other head beside it");
    let copy = project.path("near");
    let files = |from: &Path, to: &Path| -> Result<(), TestError> {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    };
    files(&folder, &copy)?;
    files(&folder.join("1_Pooling"), &copy.join("1_Pooling"))?;
    let text = pipeline(&[("more", "epochs: 1, method: { fine_tune: {} }")])
        .replace(&data("tiny-bert"), "near");
    project.write("x.yaml", &text)?;
    let said = project.run(&[])?;
    let told = "drawn anew: the folder's counts the nearest of its texts";
    assert!(said.err.contains(told), "{}", said.err);
    let folder = project.artifact("more")?;
    let config: Value = serde_json::from_slice(&fs::read(folder.join("config.json"))?)?;
    assert_eq!(config["pipe_nearest"], Value::Null);
    assert!(!project.weights("more")?.contains_key("classifier.vectors"));
    Ok(())
}
