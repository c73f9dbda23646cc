//! Texts without labels: where they come from, and what learns from them.

use fs_err as fs;
use serde_json::Value;

use super::project::{Project, TestError, data};

/// Builds a pipeline whose texts without labels are what `shots` leaves over; a stage is a name and
/// its settings.
fn pipeline(load: &str, stages: &[(&str, &str)]) -> String {
    let mut text = format!(
        "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.2 }}, \
         {load} }} }}\n"
    );
    for (name, settings) in stages {
        let model = data("tiny-bert");
        text += &format!(
            "  {name}: {{ train: {{ data: data, model: {{ pretrained: {model}, head: mean }}, \
             {settings} }} }}\n  {name}_score: {{ evaluate: {{ model: {name}, data: data }} }}\n"
        );
    }
    text
}

/// Returns a fine-tuning that learns enough for each class to get texts.
fn tuned(take: &str) -> String {
    format!(
        "epochs: 12, batch_size: 6, dropout: 0.2, optimizer: {{ adamw: {{ learning_rate: 2e-3, \
         head_learning_rate: 1e-2 }} }}, method: {{ self_training: {{ base: {{ fine_tune: {{}} }}, \
         rounds: 2, {take}, stop: never, per_class: 4 }} }}"
    )
}

const REST: &str = "shots: 6, unlabelled: { rest: true }";

fn summary(project: &Project, stage: &str) -> Result<Value, TestError> {
    let training = fs::read(project.artifact(stage)?.join("training.json"))?;
    Ok(serde_json::from_slice::<Value>(&training)?["summary"].clone())
}

#[test]
fn self_training_repeats_bit_for_bit() -> Result<(), TestError> {
    let (easy, sure) = (tuned("take: { easy: { passes: 3 } }"), tuned("take: surest"));
    let stages = [
        ("probed", "method: probe"),
        ("judged", "method: self_training"),
        ("made", "method: { self_training: { rounds: 2, per_class: 5, stop: never } }"),
        (
            "tuned",
            "epochs: 1, method: { self_training: { base: { fine_tune: {} }, rounds: 1, \
             folds: 2, per_class: 4 } }",
        ),
        ("easy", &easy),
        ("sure", &sure),
        (
            "lp_easy",
            "epochs: 1, dropout: 0.2, method: { self_training: { base: { lp_ft: {} }, rounds: 1, \
             take: { easy: { passes: 2 } }, folds: 2, per_class: 4 } }",
        ),
    ];
    let text = pipeline(REST, &stages);
    let (one, two) = (Project::with(160, &text)?, Project::with(160, &text)?);
    let said = one.run(&["--threads", "1"])?;
    two.run(&["--threads", "1"])?;
    one.outcome()?.assert_same(&two.outcome()?);
    assert!(said.err.contains("texts without labels"), "{}", said.err);
    let judged = summary(&one, "judged")?;
    let chosen = judged["chosen"].as_str().ok_or("nothing was chosen")?;
    assert!(chosen.contains("(out of 4 folds, by round: "), "{chosen}");
    assert_eq!(judged["method"], "self_training");
    assert_eq!(judged["encodings"], 0, "the encoder stays as it is");
    let made = summary(&one, "made")?;
    let chosen = made["chosen"].as_str().ok_or("nothing was chosen")?;
    assert!(chosen.starts_with("rounds of "), "{chosen}");
    assert_ne!(one.weights("made")?, one.weights("probed")?);
    assert_ne!(one.weights("easy")?, one.weights("sure")?);
    let easy = summary(&one, "easy")?;
    assert!(easy["chosen"].as_str().is_some_and(|it| it.starts_with("rounds of 4, 8")), "{easy}");
    // Each half of train is learnt from once at least, and then all of it.
    let tuned = summary(&one, "tuned")?;
    let encodings = tuned["encodings"].as_u64().ok_or("no encodings")?;
    assert!(encodings >= 36, "{encodings}");
    // The trained texts are known, so that no other data score them.
    assert!(one.artifact("judged")?.join("seen_texts.parquet").is_file());
    assert!(one.artifact("data")?.join("unlabelled.parquet").is_file());
    Ok(())
}

#[test]
fn shares_of_classes_are_those_of_texts_without_labels() -> Result<(), TestError> {
    let estimated = "method: { probe: { prior: { estimate: unlabelled } } }";
    let text = pipeline(REST, &[("plain", "method: probe"), ("shifted", estimated)]);
    let project = Project::with(160, &text)?;
    project.run(&["--threads", "1"])?;
    let shifted = summary(&project, "shifted")?;
    let chosen = shifted["chosen"].as_str().ok_or("nothing was chosen")?;
    // 128 texts are not in test, of which 18 are drawn.
    assert!(chosen.contains(", shares by 110 texts without labels: "), "{chosen}");
    let (plain, shifted) = (project.weights("plain")?, project.weights("shifted")?);
    assert_eq!(plain["classifier.weight"], shifted["classifier.weight"]);
    assert_ne!(plain["classifier.bias"], shifted["classifier.bias"]);
    Ok(())
}

#[test]
fn what_is_missing_is_found_before_anything_runs() -> Result<(), TestError> {
    for (load, settings, expected) in [
        ("shots: 6", "method: self_training", "the data have no texts without labels"),
        (
            "shots: 6",
            "method: { probe: { prior: { estimate: unlabelled } } }",
            "the data have no texts without labels",
        ),
        ("unlabelled: { rest: true }", "method: probe", "without `shots`, nothing is left over"),
        ("unlabelled: {}", "method: probe", "neither `path` nor `rest` is given"),
        ("unlabelled: { pth: pool.csv }", "method: probe", "unknown key `pth`"),
        ("unlabelled: { pth: pool.csv }", "method: probe", "did you mean `path`?"),
        (
            "unlabelled: [pool.csv]",
            "method: probe",
            "expected a file, or a map of `path` and `rest`, found a list",
        ),
        (
            REST,
            "method: { self_training: { stop: never, folds: 3 } }",
            "`stop: never` looks at no folds",
        ),
        (REST, "epochs: 3, method: self_training", "has no use for `epochs`"),
        (
            REST,
            "method: { self_training: { take: easy } }",
            "`base: probe` does not serve: a probe's encoder has no dropout",
        ),
        (
            REST,
            "method: { self_training: { take: { easy: { passes: 1 } }, base: contrastive } }",
            "expected at least 2 passes, found 1",
        ),
        (
            REST,
            "stop_after: 1, method: { self_training: { base: { contrastive: {} } } }",
            "has no use for `stop_after`",
        ),
        (
            REST,
            "method: { self_training: { rounds: 0, per_class: 0, folds: 1 } }",
            "expected at least 2 folds",
        ),
    ] {
        let project = Project::with(80, &pipeline(load, &[("tuned", settings)]))?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        assert_ne!(said.code, Some(0), "{settings}");
        assert!(said.err.contains(expected), "{settings}: {}", said.err);
    }
    let settings =
        "epochs: 1, dropout: 0, method: { self_training: { base: fine_tune, take: easy } }";
    let project = Project::with(80, &pipeline(REST, &[("tuned", settings)]))?;
    let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
    assert!(said.err.contains("compares passes of a text, which are all the same"), "{}", said.err);
    let load = "shots: 6, unlabelled: pool.csv";
    let project = Project::with(80, &pipeline(load, &[("tuned", "method: self_training")]))?;
    let said = project.pipe(&["run", "x.yaml"])?;
    assert!(said.err.contains("there is no file `pool.csv`"), "{}", said.err);
    let first = fs::read_to_string(project.path("texts.csv"))?;
    project.write("pool.csv", &first)?;
    let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
    assert!(said.err.contains("that stand in test or dev: 16, such as"), "{}", said.err);
    Ok(())
}

/// C is chosen by true labels alone. How well they are predicted is not told: what has labelled the
/// other texts has seen them.
#[test]
fn folds_of_labels_by_a_model_tell_no_figures() -> Result<(), TestError> {
    let stages = [
        ("plain", "method: probe"),
        ("made", "method: { self_training: { rounds: 1, per_class: 9, stop: never } }"),
    ];
    let project = Project::with(160, &pipeline(REST, &stages))?;
    project.run(&["--threads", "1"])?;
    let chosen = |stage: &str| -> Result<String, TestError> {
        Ok(summary(&project, stage)?["chosen"].as_str().ok_or("nothing")?.to_owned())
    };
    let (plain, made) = (chosen("plain")?, chosen("made")?);
    assert!(plain.contains("(out of 4 folds: accuracy "), "{plain}");
    assert!(made.contains("(by 4 folds that were seen)"), "{made}");
    assert!(!made.contains("accuracy"), "{made}");
    Ok(())
}

/// A killed round goes on from what the cache has of those before.
#[test]
fn rounds_with_passes_go_on() -> Result<(), TestError> {
    let settings = tuned("take: { easy: { passes: 2 } }");
    let project = Project::with(120, &pipeline(REST, &[("easy", &settings)]))?;
    project.run(&["--threads", "1"])?;
    let whole = project.outcome()?;
    let folder = project.artifact("easy")?;
    fs::remove_dir_all(folder.parent().ok_or("no entry")?)?;
    project.run(&["--threads", "1"])?;
    project.outcome()?.assert_same(&whole);
    Ok(())
}

/// It learns fast, so that there is something to follow.
const TEACHER: (&str, &str) = (
    "teacher",
    "method: { contrastive: {} }, budget: { steps: 30 }, optimizer: { adamw: { learning_rate: 3e-3 \
     } }",
);

/// The cosines of the student's vectors come nearer to its teacher's, and it repeats.
#[test]
fn a_student_follows_its_teacher() -> Result<(), TestError> {
    let distil = |more: &str| format!("method: {{ distil: {{ teacher: teacher }} }}, {more}");
    let (long, near) = (
        distil("epochs: 10, dropout: 0, optimizer: { adamw: { learning_rate: 1e-3 } }"),
        "method: { distil: { teacher: teacher, classifier: knn } }, epochs: 1",
    );
    let stages = [TEACHER, ("student", &long), ("near", near)];
    let text = pipeline(REST, &stages);
    let (one, two) = (Project::with(160, &text)?, Project::with(160, &text)?);
    one.run(&["--threads", "1"])?;
    two.run(&["--threads", "1"])?;
    one.outcome()?.assert_same(&two.outcome()?);
    let said = summary(&one, "student")?;
    assert_eq!(said["method"], "distil");
    // 18 texts with a label and 110 without are read once an epoch.
    assert_eq!(said["encodings"], 10 * 128);
    let curves = one.curves("student")?.0;
    let losses: Vec<f64> = curves.iter().map(|point| point.loss).collect();
    let (first, last) = losses.split_at(losses.len() / 2);
    let (first, last) = (first.iter().sum::<f64>(), last.iter().sum::<f64>());
    assert!(last < 0.9 * first, "{first} {last}");
    Ok(())
}

/// A paused student goes on to the same bytes.
#[test]
fn a_paused_student_goes_on() -> Result<(), TestError> {
    let whole = "method: { distil: { teacher: teacher } }, epochs: 3".to_owned();
    let text = pipeline(REST, &[TEACHER, ("student", &whole)]);
    let (one, two) = (Project::with(120, &text)?, Project::with(120, &text)?);
    one.run(&["--threads", "1"])?;
    let paused = format!("{whole}, stop_after: 1");
    two.write("x.yaml", &pipeline(REST, &[TEACHER, ("student", &paused)]))?;
    two.pipe(&["run", "x.yaml", "--threads", "1"])?;
    two.write("x.yaml", &text)?;
    let said = two.run(&["--threads", "1"])?;
    assert!(said.err.contains("resuming after epoch 1"), "{}", said.err);
    assert_eq!(one.weights("student")?, two.weights("student")?);
    Ok(())
}

#[test]
fn what_cannot_teach_is_refused() -> Result<(), TestError> {
    let distil = "method: { distil: { teacher: teacher } }, epochs: 1";
    for (settings, message) in [
        ("method: { distil: { teacher: nobody } }", "unknown stage `nobody`"),
        ("method: { distil: { teacher: data } }", "expected a trained model"),
        ("method: { distil: {} }", "missing key `teacher`"),
        (
            "method: { distil: { teacher: teacher } }, early_stopping: {}",
            "no use for `early_stopping`",
        ),
        ("method: { distil: { teacher: teacher } }, batch_size: 1", "expected at least 2, found 1"),
    ] {
        let stages = [TEACHER, ("student", settings)];
        let project = Project::with(80, &pipeline(REST, &stages))?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        assert!(said.code != Some(0) && said.err.contains(message), "{settings}: {}", said.err);
    }
    let folds = pipeline(REST, &[TEACHER, ("student", distil)])
        + "  honest: { evaluate: { model: student, data: data, on: folds } }\n";
    let project = Project::with(80, &folds)?;
    let said = project.pipe(&["validate", "x.yaml"])?;
    assert!(
        said.err.contains("`teacher` teaches `student`, and has seen every fold"),
        "{}",
        said.err
    );
    let own = ("teacher", "epochs: 1, method: { fine_tune: {} }");
    let text = pipeline(REST, &[own, ("student", distil)]).replace("head: mean", "head: auto");
    let project = Project::with(80, &text)?;
    let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
    assert!(said.err.contains("its head is the architecture's own"), "{}", said.err);
    Ok(())
}
