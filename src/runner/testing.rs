//! Fake stages for tests, which count their runs.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::json;

use super::job::Job;
use super::observer::{Event, Observer};
use super::project::Project;
use super::run::interrupt::Interrupt;
use super::run::pipeline::Pipeline;
use super::run::pipeline_run::{Finished, Prepared, Settings, prepare};
use super::run::tasks::Tasks;
use crate::base::digest::Digest;
use crate::base::report::{Report, Silent};
use crate::base::secrets::Secrets;
use crate::dag::plan::StepInput;
use crate::data::Prediction;
use crate::data::{DataSet, Example, Scored, Split, Splits, Task, TaskKind};
use crate::engine::Device;
use crate::stages::{
    CheckError, Ctx, DataFact, Evaluation, External, Fact, Inputs, Kind, Output, Port,
    RuntimeNeeds, Stage, StageError, TrainingSummary,
};

/// Any error of a test.
pub(super) type TestError = Box<dyn std::error::Error>;

/// The action of a fake stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Work,
    Fail,
    Panic,
    /// Waits for the interruption, then gives up and leaves a file in its scratch folder.
    WaitForInterrupt,
    /// Waits for the interruption, then fails with an error of its own.
    FailWhileStopping,
    /// Works for a moment, so that others find it at work.
    Slow,
    /// Depends on a file that changes while it works.
    Edited,
}

/// A stage that performs an action and counts its runs.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub name: &'static str,
    pub kind: Kind,
    pub uses_seed: bool,
    pub uses_runtime: bool,
    pub act: Act,
    pub runs: Arc<AtomicUsize>,
}

impl Fake {
    pub(super) fn data(name: &'static str) -> Fake {
        Fake {
            name,
            kind: Kind::DATA,
            uses_seed: false,
            uses_runtime: false,
            act: Act::Work,
            runs: Arc::default(),
        }
    }

    pub(super) fn seeded(self) -> Fake {
        Fake { uses_seed: true, ..self }
    }

    pub(super) fn scores(self) -> Fake {
        Fake { kind: Kind::SCORES, ..self }
    }

    pub(super) fn act(self, act: Act) -> Fake {
        Fake { act, ..self }
    }

    pub(super) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the loss is not a number")]
#[diagnostic(help("lower the learning rate"))]
struct Failed;

impl Stage for Fake {
    fn code_version(&self) -> u32 {
        1
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        Vec::new()
    }

    fn check(&self, _inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        Ok(Fact::Data(DataFact {
            task: TaskKind::Classes,
            has_dev: false,
            has_test: true,
            augmented: false,
            unlabelled: false,
        }))
    }

    fn externals(
        &self,
        _folder: &Path,
        _fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let digest = Digest::of(self.runs().to_string().as_bytes());
        Ok(if self.act == Act::Edited {
            vec![External { name: "a.csv".into(), digest }]
        } else {
            Vec::new()
        })
    }

    fn uses_seed(&self) -> bool {
        self.uses_seed
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        self.uses_runtime.then(RuntimeNeeds::default)
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let before = if self.name == "data" {
            String::new()
        } else {
            inputs.data("data").splits.train[0].text.to_string()
        };
        match self.act {
            Act::Work | Act::Edited => {}
            Act::Fail => return Err(Box::new(Failed)),
            Act::Panic => panic!("a mistake"),
            Act::Slow => std::thread::sleep(Duration::from_millis(100)),
            Act::WaitForInterrupt | Act::FailWhileStopping => {
                fs_err::create_dir_all(ctx.scratch()).map_err(super::cache::cache::boxed)?;
                fs_err::write(ctx.scratch().join("epoch-1"), "state")
                    .map_err(super::cache::cache::boxed)?;
                while !ctx.interrupted() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                return Err(match self.act {
                    Act::FailWhileStopping => Box::new(Failed),
                    _ => Box::new(crate::stages::contract::error::Interrupted),
                });
            }
        }
        let seed = if self.uses_seed { ctx.seed() } else { 0 };
        let text = format!("{before}/{}:{seed}", self.name);
        Ok(match self.kind.has_scores() {
            true => {
                // Some right, some wrong, depending on the text of the input.
                let predict = |(index, byte): (usize, u8)| {
                    let share = f32::from(byte) / 255.0;
                    Prediction {
                        id: format!("row-{index}"),
                        text: text.clone(),
                        label: index % 2,
                        prediction: usize::from(share > 0.5),
                        probabilities: vec![1.0 - share, share],
                    }
                };
                let rows = Digest::of(text.as_bytes()).to_string().into_bytes();
                let rows = rows
                    .into_iter()
                    .enumerate()
                    .map(|(index, byte)| (index, byte.wrapping_mul(37)))
                    .map(predict)
                    .collect();
                Arc::new(Evaluation::new(
                    Scored::Split(Split::Test),
                    vec!["a".into(), "b".into()],
                    rows,
                    TrainingSummary::default(),
                ))
            }
            false => {
                let example = Example::original("row-1", text, 0);
                Arc::new(DataSet {
                    task: Task::Classes { labels: vec!["a".into(), "b".into()] },
                    splits: Splits { train: vec![example], ..Splits::default() },
                    ..DataSet::default()
                })
            }
        })
    }
}

/// A line of fakes: data -> draw (uses the seed) -> score.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub stages: Vec<Fake>,
    /// The configuration of `draw`.
    pub rate: f64,
}

impl Line {
    pub(super) fn new() -> Line {
        let stages =
            vec![Fake::data("data"), Fake::data("draw").seeded(), Fake::data("score").scores()];
        Line { stages, rate: 0.5 }
    }

    pub(super) fn act(mut self, stage: usize, act: Act) -> Line {
        self.stages[stage].act = act;
        self
    }

    pub(super) fn jobs(&self) -> Vec<Job<'_>> {
        let job = |(index, stage)| -> Job<'_> {
            let stage: &Fake = stage;
            let data = StepInput { field: "data", step: index_before(index), draw: 0 };
            Job {
                id: stage.name.to_owned(),
                kind_name: if stage.kind == Kind::SCORES { "evaluate" } else { "load" },
                stage,
                config: json!({
                    "name": stage.name,
                    "rate": if index == 1 { self.rate } else { 0.0 },
                    "data": "any",
                }),
                secrets: Secrets::default(),
                own_secrets: Secrets::default(),
                inputs: if index == 0 { Vec::new() } else { vec![data] },
                output: stage.kind,
            }
        };
        self.stages.iter().enumerate().map(job).collect()
    }

    pub(super) fn tasks(&self, seeds: &[u64]) -> Tasks {
        let jobs = self.jobs();
        Tasks::new(&jobs, seeds, None, &vec![Vec::new(); jobs.len()])
    }

    /// Returns the number of runs of each stage.
    pub(super) fn runs(&self) -> Vec<usize> {
        self.stages.iter().map(Fake::runs).collect()
    }
}

fn index_before(index: usize) -> usize {
    index.saturating_sub(1)
}

/// Keeps every event as a line of JSON.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }
}

impl Observer for Recorder {
    fn event(&self, event: &Event<'_>) {
        let line = serde_json::to_string(event).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// A project in a temporary folder with one pipeline file.
pub(super) struct Bench {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
}

impl Bench {
    pub(super) fn new() -> Result<Bench, TestError> {
        let folder = tempfile::tempdir()?;
        fs_err::create_dir(folder.path().join(".pipe"))?;
        let settings = Settings {
            seeds: vec![1],
            workers: 1,
            keep_going: false,
            force: false,
            device: Device::Cpu,
            threads: 1,
            command: vec!["pipe".into(), "run".into()],
        };
        Ok(Bench { folder, settings })
    }

    pub(super) fn project(&self) -> Project {
        Project { root: self.folder.path().to_owned() }
    }

    pub(super) fn prepare<'a>(&self, line: &'a Line) -> Result<Prepared<'a>, TestError> {
        let pipeline = Pipeline {
            path: self.folder.path().join("x.yaml"),
            folder: self.folder.path().to_owned(),
            name: "x".into(),
            params: IndexMap::from([("rate".into(), line.rate.into())]),
            source: "version: 1 # mine\n".into(),
            resolved: format!("version: 1\nrate: {}\n", line.rate),
        };
        Ok(prepare(pipeline, line.jobs(), self.settings.clone(), true, &Silent)?)
    }

    pub(super) fn run(&self, line: &Line) -> Result<(Finished, Recorder), TestError> {
        self.run_until(line, &Interrupt::default())
    }

    pub(super) fn run_until(
        &self,
        line: &Line,
        interrupt: &Interrupt,
    ) -> Result<(Finished, Recorder), TestError> {
        let recorder = Recorder::default();
        let finished = self.prepare(line)?.execute(&recorder, interrupt)?;
        Ok((finished, recorder))
    }
}
