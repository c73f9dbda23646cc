//! Training through ONNX Runtime's training API: beside sessions, and beside Microsoft's own
//! programs. What a machine lacks for a test is said.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pipe::data::{DataSet, Example};
use pipe::model::pretrained::tokenizer_files;
use pipe::text::{Tokenizer, batch};
use serde_json::{Value, json};

use super::project::{Project, TestError, data, has_training_api, repository, wanted};

/// One learning rate and one weight decay, which both backends can do.
const ADAMW: &str =
    "optimizer: { adamw: { learning_rate: 1e-3, decay_all: true, weight_decay: 0.05 } }";

fn project(texts: usize, stages: &str) -> Result<Project, TestError> {
    let head = "\
version: 1
stages:
  data: { load: { path: texts.csv, split: { test: 0.2, dev: 0.1 } } }
  few: { load: { path: texts.csv, split: { test: 0.2 }, shots: 8 } }
";
    Project::with(texts, &format!("{head}{stages}"))
}

/// A `train` stage on the tiny BERT.
fn stage(name: &str, data_stage: &str, settings: &str) -> String {
    stage_on("tiny-bert", name, data_stage, settings)
}

fn stage_on(model: &str, name: &str, data_stage: &str, settings: &str) -> String {
    let model = data(model);
    format!(
        "  {name}: {{ train: {{ data: {data_stage}, model: {{ pretrained: {model} }}, {settings} \
         }} }}\n"
    )
}

fn losses(project: &Project, stage: &str) -> Result<Vec<f64>, TestError> {
    Ok(project.curves(stage)?.0.iter().map(|point| point.loss).collect())
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < relative * expected.abs(),
            "step {step}: {found}, expected {expected}"
        );
    }
}

/// Every architecture, by both: the same curve.
#[test]
fn both_backends_train_every_encoder() -> Result<(), TestError> {
    if !has_training_api()? {
        return Ok(());
    }
    let models = [
        "distilbert",
        "roberta",
        "mpnet",
        "electra",
        "albert-groups",
        "modernbert",
        "deberta-v2",
        "deberta-v2-v2",
        "nomic-bert",
        "gte",
    ];
    let mut stages = String::new();
    for model in models {
        for backend in ["session", "training_api"] {
            let settings =
                format!("epochs: 3, batch_size: 8, dropout: 0.0, backend: {backend}, {ADAMW}");
            let name = format!("{}_{backend}", model.replace('-', "_"));
            stages += &stage_on(&format!("tiny-{model}"), &name, "few", &settings);
        }
    }
    let project = project(80, &stages)?;
    project.run(&["--threads", "1"])?;
    for model in models {
        let of = |backend: &str| format!("{}_{backend}", model.replace('-', "_"));
        let (expected, found) =
            (losses(&project, &of("session"))?, losses(&project, &of("training_api"))?);
        assert!(expected.len() >= 9, "{model}: {}", expected.len());
        assert_close(&found, &expected, 1e-4);
    }
    Ok(())
}

/// Every feature that both have, each with dropout off so that only rounding differs: the same
/// curve, weights and choices.
#[test]
fn both_backends_give_the_same() -> Result<(), TestError> {
    if !has_training_api()? {
        return Ok(());
    }
    // 24 texts in batches of 8, or all 56: fifty steps and more.
    let recipes = [
        ("clipped", "few", "epochs: 17, batch_size: 8, gradient_clip: 0.5"),
        (
            "free",
            "few",
            "epochs: 17, batch_size: 8, gradient_clip: null, schedule: { linear: { warmup: 0.1 } }",
        ),
        ("parts", "few", "epochs: 50, batch_size: 8, accumulation: 3"),
        ("frozen", "few", "epochs: 17, batch_size: 8, freeze: { all_but_top_layers: 1 }"),
        (
            "weighted",
            "data",
            "epochs: 8, batch_size: 8, loss: { label_smoothing: 0.1, class_weights: balanced }",
        ),
        (
            "watched",
            "data",
            "epochs: 30, batch_size: 8, best_checkpoint: loss, early_stopping: { metric: loss, \
             patience: 6 }, schedule: { reduce_on_plateau: { monitor: dev_loss, factor: 0.5, \
             patience: 1 } }",
        ),
    ];
    let mut stages = String::new();
    for (name, data_stage, settings) in recipes {
        for backend in ["session", "training_api"] {
            let settings = format!("{settings}, dropout: 0.0, backend: {backend}, {ADAMW}");
            stages += &stage(&format!("{name}_{backend}"), data_stage, &settings);
            stages += &format!(
                "  {name}_{backend}_score: {{ evaluate: {{ model: {name}_{backend}, data: \
                 {data_stage} }} }}\n"
            );
        }
    }
    let project = project(80, &stages)?;
    project.run(&["--threads", "1"])?;
    for (name, _, _) in recipes {
        let (session, api) = (format!("{name}_session"), format!("{name}_training_api"));
        let (expected, found) = (losses(&project, &session)?, losses(&project, &api)?);
        assert!(expected.len() >= 50, "{name}: {}", expected.len());
        assert_close(&found, &expected, 1e-5);
        let (expected, found) = (project.weights(&session)?, project.weights(&api)?);
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
        // A key's bias shifts all scores of a query alike: its gradient is rounding, which AdamW
        // makes whole steps of.
        for (parameter, expected) in
            expected.into_iter().filter(|(name, _)| !name.ends_with("key.bias"))
        {
            for (found, expected) in found[&parameter].iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name}, {parameter}: {found}, expected {expected}"
                );
            }
        }
    }
    // The table says which backend it was.
    for row in project.results()? {
        let backend = if row.stage.contains("session") { "session" } else { "training_api" };
        assert_eq!(
            (row.backend.as_str(), row.backend_reason.as_str()),
            (backend, "requested"),
            "{}",
            row.stage
        );
    }
    Ok(())
}

/// What `auto` takes, and why, stands in the log and in the table.
#[test]
fn auto_says_what_trains_and_why() -> Result<(), TestError> {
    let has = has_training_api()?;
    let mut stages = stage("fits", "few", &format!("epochs: 1, {ADAMW}"));
    stages += &stage(
        "own_rate",
        "few",
        "epochs: 1, optimizer: { adamw: { decay_all: true, head_learning_rate: 1e-2 } }",
    );
    stages += "  fits_score: { evaluate: { model: fits, data: few } }\n";
    stages += "  own_rate_score: { evaluate: { model: own_rate, data: few } }\n";
    let project = project(60, &stages)?;
    let said = project.run(&["--threads", "1"])?;
    let expected = if has {
        [
            ("fits", "training_api", "the library has the training API, and the recipe fits"),
            (
                "own_rate",
                "session",
                "the training API has one learning rate, but the head has its own",
            ),
        ]
    } else {
        ["fits", "own_rate"].map(|name| (name, "session", "the library has no training API"))
    };
    for (name, backend, reason) in expected {
        assert!(said.told(&format!("{name}: trained by `{backend}`: {reason}")), "{}", said.err);
        let rows = project.results()?;
        let row = rows.iter().find(|row| row.stage == format!("{name}_score")).ok_or("no row")?;
        assert_eq!((row.backend.as_str(), row.backend_reason.as_str()), (backend, reason));
    }
    Ok(())
}

/// A Python with Microsoft's last package for training.
fn microsoft() -> Option<OsString> {
    wanted(
        "PIPE_TEST_ORT_TRAINING_PYTHON",
        "a Python with onnxruntime-training-cpu 1.19.2, onnx 1.16.2 and numpy 1",
    )
}

fn witness(python: &OsString, arguments: &[&str], input: &str) -> Result<String, TestError> {
    let mut child = Command::new(python)
        .arg(repository("tests/witness/ort_training.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Trains a folder of artifacts with Microsoft's reader, the same batch again and again; returns
/// the losses.
fn train_by_microsoft(
    python: &OsString,
    folder: &Path,
    batch: &Value,
    steps: usize,
    save: Option<&Path>,
) -> Result<Vec<f64>, TestError> {
    let folder = folder.display().to_string();
    let save = save.map(|path| path.display().to_string());
    let mut arguments = vec!["train", &folder];
    if let Some(save) = &save {
        arguments.extend(["--save", save]);
    }
    let asked = json!({ "learning_rate": 1e-3, "batches": vec![batch; steps] });
    let told: Value = serde_json::from_str(&witness(python, &arguments, &asked.to_string())?)?;
    Ok(serde_json::from_value(told["losses"].clone())?)
}

/// All train texts of a project's `few` as one batch for the tiny BERT.
fn batch_of(project: &Project) -> Result<Value, TestError> {
    let examples: Vec<Example> = DataSet::read(&project.artifact("few")?)?.splits.train;
    let tokenizer =
        Tokenizer::read(&tokenizer_files(std::path::Path::new(&data("tiny-bert")))?, None)?;
    let texts: Vec<&str> = examples.iter().map(|example| example.text.first.as_str()).collect();
    let tokens = tokenizer.encode(&texts, 32)?;
    let batch = batch::pad(&tokens.iter().collect::<Vec<_>>(), 0);
    let rows =
        |values: &[i64]| values.chunks(batch.length).map(<[i64]>::to_vec).collect::<Vec<_>>();
    let labels: Vec<usize> = examples.iter().map(|example| example.class()).collect();
    Ok(json!({
        "input_ids": rows(&batch.ids),
        "attention_mask": rows(&batch.mask),
        "labels": labels,
    }))
}

/// Twenty steps of Microsoft's reader on what `pipe artifacts` wrote, beside twenty of `pipe run`:
/// another program, the whole vocabulary, standard operators, and the same losses.
#[test]
fn microsofts_reader_trains_our_artifacts() -> Result<(), TestError> {
    let Some(python) = microsoft() else { return Ok(()) };
    let common = format!("epochs: 20, batch_size: 24, max_length: 32, dropout: 0.0, {ADAMW}");
    for (name, settings) in [
        ("plain", common.clone()),
        (
            "weighted",
            format!(
                "{common}, loss: {{ label_smoothing: 0.2, class_weights: balanced }}, \
                 gradient_clip: 0.1"
            ),
        ),
        ("frozen", format!("{common}, freeze: {{ names: [\"embeddings.*\"] }}")),
    ] {
        let project = project(80, &stage(name, "few", &settings))?;
        project.run(&["--threads", "1"])?;
        let (batch, expected) = (batch_of(&project)?, losses(&project, name)?);
        let said = project.pipe(&["artifacts", "x.yaml", name, "-o", "out"])?;
        assert_eq!(said.code, Some(0), "{}", said.err);
        let found = train_by_microsoft(&python, &project.path("out"), &batch, 20, None)?;
        assert_close(&found, &expected, 1e-5);
        assert!(expected[19] < 0.9 * expected[0], "it learns: {expected:?}");
    }
    Ok(())
}

/// The other way round: we train what `generate_artifacts` made, and go on from a checkpoint that
/// Microsoft's program saved.
#[test]
fn artifacts_of_microsoft_train_on() -> Result<(), TestError> {
    let Some(python) = microsoft() else { return Ok(()) };
    if !has_training_api()? {
        return Ok(());
    }
    let from = |name: &str, folder: &str, epochs: u32| {
        let settings = format!(
            "artifacts: {folder}, epochs: {epochs}, batch_size: 24, max_length: 32, optimizer: {{ \
             adamw: {{ learning_rate: 1e-3 }} }}"
        );
        stage(name, "few", &settings)
            + &format!("  {name}_score: {{ evaluate: {{ model: {name}, data: few }} }}\n")
    };
    let stages =
        from("whole", "made", 20) + &from("rest", "later", 15) + &from("dropped", "dropping", 20);
    let project = project(80, &stages)?;
    let make = |name: &str, dropout: &str| {
        let folder = project.path(name).display().to_string();
        witness(
            &python,
            &["make", &folder, "--vocabulary", "115", "--classes", "3", "--dropout", dropout],
            "",
        )
    };
    make("made", "0")?;
    make("later", "0")?;
    make("dropping", "0.2")?;
    project.pipe(&["run", "x.yaml", "--until", "few"])?;
    let batch = batch_of(&project)?;
    let later = project.path("later");
    // The same file name: the checkpoint, now after five steps.
    let first = train_by_microsoft(&python, &later, &batch, 5, Some(&later.join("checkpoint")))?;
    let expected = train_by_microsoft(&python, &project.path("made"), &batch, 20, None)?;
    assert_close(&first, &expected[..5], 1e-6);

    let said = project.run(&["--threads", "1"])?;
    assert!(said.err.contains("whole: the artifacts update with AdamWOptimizer ("), "{}", said.err);
    assert_close(&losses(&project, "whole")?, &expected, 1e-5);
    assert_close(&losses(&project, "rest")?, &expected[5..], 1e-5);
    // Predictions come from the exported model, whose dropout is off: both learned the same.
    let (whole, rest) = (project.evaluation("whole_score")?, project.evaluation("rest_score")?);
    for (whole, rest) in whole.predictions.iter().zip(&rest.predictions) {
        for (whole, rest) in whole.probabilities.iter().zip(&rest.probabilities) {
            assert!((whole - rest).abs() < 1e-5, "{whole} {rest}");
        }
    }
    let summary: Value =
        serde_json::from_slice(&fs_err::read(project.artifact("whole")?.join("training.json"))?)?;
    // 115 × 16 word vectors, 16 × 16 and 16, 3 × 16 and 3; 16 are frozen.
    assert_eq!(summary["summary"]["trainable_parameters"], 115 * 16 + 16 * 16 + 16 + 3 * 16 + 3);
    assert_eq!(summary["summary"]["parameters"], 115 * 16 + 16 * 16 + 16 + 3 * 16 + 3 + 16);
    // Dropout of the network's own is seeded: it makes a difference, the same in each run, another
    // for another seed.
    let dropped = losses(&project, "dropped")?;
    assert!(dropped.iter().zip(&expected).any(|(dropped, plain)| (dropped - plain).abs() > 1e-3));
    project.run(&["--threads", "1", "--force"])?;
    assert_eq!(losses(&project, "dropped")?, dropped);
    assert_eq!(project.evaluation("whole_score")?.predictions, whole.predictions);
    Ok(())
}

/// Replaces a text by one of the same length wherever it stands.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// Sets the version of a checkpoint: the first field of the flatbuffer's root, whose place the
/// table's directory says.
fn set_version(file: &mut [u8], version: i32) -> Result<(), TestError> {
    let word = |at: usize| Ok::<_, TestError>(i32::from_le_bytes(file[at..at + 4].try_into()?));
    let root = word(0)? as usize;
    let directory = (root as i32 - word(root)?) as usize;
    let at = root + usize::from(u16::from_le_bytes(file[directory + 4..directory + 6].try_into()?));
    assert_eq!(word(at)?, 2);
    file[at..at + 4].copy_from_slice(&version.to_le_bytes());
    Ok(())
}

/// Artifacts that do not fit the data or each other: an error that says what and the way out.
#[test]
fn artifacts_that_do_not_fit() -> Result<(), TestError> {
    let has = has_training_api()?;
    let base = stage("tuned", "few", &format!("epochs: 1, dropout: 0.0, {ADAMW}"));
    let maker = project(60, &base)?;
    let said = maker.pipe(&["artifacts", "x.yaml", "tuned", "-o", "made"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let made = maker.path("made").display().to_string();
    let refused = |stages: &str, files: &str| -> Result<String, TestError> {
        let project = project(60, stages)?;
        if !files.is_empty() {
            project.write("two.csv", files)?;
        }
        let said = project.pipe(&["run", "x.yaml", "--threads", "1"])?;
        assert_ne!(said.code, Some(0), "{}", said.err);
        assert!(!said.err.contains("panicked"), "{}", said.err);
        Ok(said.err)
    };
    let from = |folder: &str| stage("again", "few", &format!("epochs: 1, artifacts: {folder}"));
    // Found with the file, whatever the library.
    let decided = refused(
        &stage("again", "few", &format!("artifacts: {made}, dropout: 0.1, freeze: encoder")),
        "",
    )?;
    assert_eq!(decided.matches("the artifacts already fix this setting").count(), 2, "{decided}");
    let other =
        refused(&stage("again", "few", &format!("artifacts: {made}, backend: session")), "")?;
    assert!(other.contains("artifacts are trained with the training API"), "{other}");
    let misfit = refused(&stage("again", "few", "backend: training_api"), "")?;
    assert!(
        misfit
            .contains("the training API has one weight decay, but biases and LayerNorm are exempt"),
        "{misfit}"
    );
    assert!(
        misfit.contains("add `decay_all: true` or `weight_decay: 0`, or use `backend: session`"),
        "{misfit}"
    );
    // Nor is there anything to write then.
    let spared = project(
        60,
        &(stage("spared", "few", "epochs: 1")
            + &stage("again", "few", &format!("artifacts: {made}"))),
    )?;
    for (stage, told) in [
        (
            "spared",
            "`spared` cannot be written for the training API: the training API has one weight \
             decay",
        ),
        ("again", "`again` is already trained from artifacts"),
        ("few", "`few` is not a `train` stage"),
    ] {
        let said = spared.pipe(&["artifacts", "x.yaml", stage, "-o", "out"])?;
        assert!(said.code == Some(2) && said.err.contains(told), "{}", said.err);
        assert!(!spared.path("out").exists() && !said.err.contains("few: started"), "{}", said.err);
    }
    if !has {
        for stages in
            [from(&made), stage("again", "few", &format!("backend: training_api, {ADAMW}"))]
        {
            let told = refused(&stages, "")?;
            assert!(told.contains("has no training API"), "{told}");
            assert!(told.contains("scripts/build-onnxruntime-training.sh"), "{told}");
            assert!(!told.contains("few: started"), "it is refused before anything runs: {told}");
        }
        return Ok(());
    }
    let copy = |name: &str| -> Result<std::path::PathBuf, TestError> {
        let folder = maker.path(name);
        fs_err::create_dir(&folder)?;
        for file in ["training_model.onnx", "eval_model.onnx", "optimizer_model.onnx", "checkpoint"]
        {
            fs_err::copy(Path::new(&made).join(file), folder.join(file))?;
        }
        Ok(folder)
    };
    let with = |folder: &Path| refused(&from(&folder.display().to_string()), "");
    let lacking = copy("lacking")?;
    fs_err::remove_file(lacking.join("optimizer_model.onnx"))?;
    let told = with(&lacking)?;
    assert!(
        told.contains("optimizer_model.onnx` is missing") && !told.contains("few: started"),
        "{told}"
    );
    let cut = copy("cut")?;
    let checkpoint = fs_err::read(cut.join("checkpoint"))?;
    fs_err::write(cut.join("checkpoint"), &checkpoint[..checkpoint.len() - 1000])?;
    let told = with(&cut)?;
    assert!(told.contains("the checkpoint cannot be used: it is damaged or truncated"), "{told}");
    // An input that texts do not give, a checkpoint of another network, a layout that nobody has
    // written yet.
    let strange = copy("strange")?;
    let model = fs_err::read(strange.join("training_model.onnx"))?;
    fs_err::write(
        strange.join("training_model.onnx"),
        renamed(&model, b"attention_mask", b"attention_musk"),
    )?;
    let told = with(&strange)?;
    assert!(
        told.contains(
            "the training model has the input `attention_musk`, which texts with labels do not \
             provide"
        ),
        "{told}"
    );
    let mixed = copy("mixed")?;
    let file = fs_err::read(mixed.join("checkpoint"))?;
    fs_err::write(
        mixed.join("checkpoint"),
        renamed(&file, b"classifier.bias", b"classifier.bibs"),
    )?;
    let told = with(&mixed)?;
    assert!(
        told.contains(
            "`training_model.onnx` needs the parameter `classifier.bias`, which the checkpoint \
             does not have"
        ),
        "{told}"
    );
    let newer = copy("newer")?;
    let mut file = fs_err::read(newer.join("checkpoint"))?;
    set_version(&mut file, 3)?;
    fs_err::write(newer.join("checkpoint"), file)?;
    let told = with(&newer)?;
    assert!(told.contains("its layout has version 3; expected version 2"), "{told}");
    // A network of another vocabulary and two classes, for data of three.
    let two = Project::with(
        0,
        &format!(
            "version: 1\nstages:\n  few: {{ load: {{ path: two.csv, split: {{ test: 0.5 }} }} \
             }}\n{base}"
        ),
    )?;
    two.write(
        "two.csv",
        "text,label\nthe food was good,a\nthe bill was wrong,b\nlovely people,a\nslow service,b\n",
    )?;
    let said = two.pipe(&["artifacts", "x.yaml", "tuned", "-o", "made"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told = with(&two.path("made"))?;
    assert!(
        told.contains("the artifacts are for the classes `a`, `b`, the data have `negative`"),
        "{told}"
    );
    // Artifacts of other programs name no classes.
    fs_err::remove_file(two.path("made/classes.json"))?;
    let told = with(&two.path("made"))?;
    assert!(
        told.contains(
            "the model has logits of shape [1, 2] for one text, but the data has 3 classes"
        ),
        "{told}"
    );
    let sound =
        project(60, &(from(&made) + "  score: { evaluate: { model: again, data: few } }\n"))?;
    sound.run(&["--threads", "1"])?;
    assert!(sound.artifact("again")?.join("model.onnx").is_file());
    Ok(())
}
