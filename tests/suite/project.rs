//! A project in a folder of its own, and the program run in it as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use pipe::data::Curves;
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;
use pipe::stages::Evaluation;
use safetensors::SafeTensors;
use serde_json::Value;

pub type TestError = Box<dyn std::error::Error>;

/// A folder with its own cache. Downloads are those of the user, so that they are fetched once per
/// machine.
pub struct Project(tempfile::TempDir);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Everything that has to be the same whenever a pipeline is run.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub rows: Vec<ResultRow>,
    /// The run's predictions and curves, every data set and every trained model, by stage and file
    /// name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    /// Fails on the first thing that differs, naming it.
    pub fn assert_same(&self, other: &Outcome) {
        assert_eq!(self.rows, other.rows);
        assert_eq!(self.files.keys().collect::<Vec<_>>(), other.files.keys().collect::<Vec<_>>());
        for (name, bytes) in &self.files {
            assert!(other.files.get(name) == Some(bytes), "{name} differs");
        }
    }
}

impl Project {
    /// Makes a project with a file `texts.csv` of labelled texts from the vocabulary of the tiny
    /// models.
    pub fn new(texts: usize) -> Result<Project, TestError> {
        let project = Project(tempfile::tempdir()?);
        fs::create_dir(project.path(".pipe"))?;
        project.write("texts.csv", &tiny_texts(texts))?;
        Ok(project)
    }

    /// Makes a project with a pipeline `x.yaml`.
    pub fn with(texts: usize, pipeline: &str) -> Result<Project, TestError> {
        let project = Project::new(texts)?;
        project.write("x.yaml", pipeline)?;
        Ok(project)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.path(name), text)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("COLUMNS", "100")
            .env_remove("RUST_BACKTRACE");
        command
    }

    pub fn pipe(&self, arguments: &[&str]) -> Result<Said, TestError> {
        Ok(Said::new(self.command(arguments).output()?))
    }

    /// Runs a line of a shell in the project's folder.
    pub fn shell(&self, line: &str) -> Result<Said, TestError> {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", line]).current_dir(self.0.path());
        Ok(Said::new(shell.env_remove("RUST_BACKTRACE").output()?))
    }

    /// Runs `x.yaml`, which has to succeed.
    pub fn run(&self, arguments: &[&str]) -> Result<Said, TestError> {
        let said = self.pipe(&[&["run", "x.yaml"], arguments].concat())?;
        if said.code != Some(0) {
            return Err(format!("exit code {:?}: {}", said.code, said.err).into());
        }
        Ok(said)
    }

    /// The path as it may stand in the project's own pipeline files and messages.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// What `provenance.json` of the last run says.
    pub fn provenance(&self) -> Result<Value, TestError> {
        Ok(serde_json::from_slice(&fs::read(self.path("runs/latest/provenance.json"))?)?)
    }

    /// The folder of a stage's output in the last run.
    pub fn artifact(&self, stage: &str) -> Result<PathBuf, TestError> {
        let provenance = self.provenance()?;
        let stages = provenance["stages"].as_array().ok_or("no stages")?;
        let record = stages
            .iter()
            .find(|record| record["stage"] == stage)
            .ok_or_else(|| stage.to_owned())?;
        let key = record["key"].as_str().ok_or("no key")?;
        Ok(self.path(".pipe/cache").join(key).join("artifact"))
    }

    pub fn curves(&self, stage: &str) -> Result<Curves, TestError> {
        Ok(Curves::read(&self.artifact(stage)?)?)
    }

    pub fn evaluation(&self, stage: &str) -> Result<Evaluation, TestError> {
        Ok(Evaluation::read(&self.artifact(stage)?).map_err(|error| error.to_string())?)
    }

    /// The tensors of a trained model as bytes.
    pub fn weights(&self, stage: &str) -> Result<BTreeMap<String, Vec<f32>>, TestError> {
        let artifact = self.artifact(stage)?;
        let mut all = tensors(&artifact.join("model.safetensors"))?;
        let head = artifact.join("head.safetensors");
        if head.is_file() {
            all.extend(tensors(&head)?);
        }
        Ok(all)
    }

    /// The rows of the last run's table without what differs from run to run.
    pub fn results(&self) -> Result<Vec<ResultRow>, TestError> {
        let rows = ResultTable::read(&self.path("runs/latest"))?.rows;
        Ok(rows
            .into_iter()
            .map(|row| ResultRow { run: String::new(), seconds: 0.0, peak_memory: None, ..row })
            .collect())
    }

    /// Reads the outcome of the last run.
    pub fn outcome(&self) -> Result<Outcome, TestError> {
        let mut files = BTreeMap::new();
        for name in ["predictions.parquet", "curves.parquet"] {
            files.insert(name.to_owned(), fs::read(self.path("runs/latest").join(name))?);
        }
        let provenance = self.provenance()?;
        for record in provenance["stages"].as_array().ok_or("no stages")? {
            let stage = record["stage"].as_str().ok_or("no name")?;
            let weights = ["model.safetensors", "head.safetensors", "model.onnx"];
            for name in weights.into_iter().chain(["config.json", "data.parquet"]) {
                let file = self.artifact(stage)?.join(name);
                if file.is_file() {
                    files.insert(format!("{stage}/{name}"), fs::read(file)?);
                }
            }
        }
        Ok(Outcome { rows: self.results()?, files })
    }
}

impl Said {
    pub fn new(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Says whether a line of stderr is this one.
    pub fn told(&self, line: &str) -> bool {
        self.err.lines().any(|found| found == line)
    }
}

/// Says that a test is skipped and what it wants, past the test runner, which keeps back what
/// passing tests print.
pub fn skipped(wants: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {wants}");
}

/// Returns what an environment variable names for the tests; without it, says that the test is
/// skipped.
pub fn wanted(variable: &str, what: &str) -> Option<std::ffi::OsString> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    if value.is_none() {
        skipped(&format!("set {variable} to {what}"));
    }
    value
}

/// Returns whether the ONNX Runtime that the program uses here has the training API; without it,
/// says that the test is skipped.
pub fn has_training_api() -> Result<bool, TestError> {
    let said = Project::new(0)?.pipe(&["runtime", "install"])?;
    let has =
        said.out.lines().any(|line| line.starts_with("training API") && line.ends_with("yes"));
    if !has {
        skipped("set ORT_DYLIB_PATH to an ONNX Runtime with the training API");
    }
    Ok(has)
}

/// A folder under tests/data.
pub fn data(name: &str) -> String {
    repository(&format!("tests/data/{name}"))
}

/// A path in the repository.
pub fn repository(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The float tensors of a file by name.
pub fn tensors(file: &Path) -> Result<BTreeMap<String, Vec<f32>>, TestError> {
    let bytes = fs::read(file)?;
    let floats = |data: &[u8]| {
        data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let tensors = SafeTensors::deserialize(&bytes)?;
    Ok(tensors.tensors().into_iter().map(|(name, view)| (name, floats(view.data()))).collect())
}

/// Labelled texts that the tiny models can learn: two words tell the class, the others are noise.
/// Half of them are neutral.
fn tiny_texts(count: usize) -> String {
    const CLASSES: [(&str, [&str; 4]); 4] = [
        ("positive", ["good", "lovely", "kind", "open"]),
        ("neutral", ["noon", "hour", "place", "people"]),
        ("negative", ["slow", "wrong", "never", "nobody"]),
        ("neutral", ["noon", "hour", "place", "people"]),
    ];
    const NOISE: [&str; 10] =
        ["the", "and", "was", "is", "it", "we", "they", "food", "service", "bill"];
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut rows = "text,label\n".to_owned();
    for index in 0..count {
        let (label, marks) = CLASSES[index % 4];
        let mut words: Vec<String> = (0..3 + draw(8)).map(|_| NOISE[draw(10)].to_owned()).collect();
        for _ in 0..2 {
            let place = draw(words.len() + 1);
            words.insert(place, marks[draw(4)].to_owned());
        }
        // The number makes the text differ from all others; the tiny models know single digits.
        words.extend(index.to_string().chars().map(String::from));
        rows.push_str(&format!("{},{label}\n", words.join(" ")));
    }
    rows
}
