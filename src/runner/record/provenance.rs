//! The origin of a run's numbers.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::digest::Digest;
use crate::stages::External;

/// The content of `provenance.json`: everything that another person needs to reproduce the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The layout of this file.
    pub format: u32,
    pub run: String,
    /// Puts the runs of a project in order; later ones have higher numbers. Runs of earlier
    /// versions have none.
    #[serde(default)]
    pub number: u64,
    /// The pipeline's name.
    pub name: String,
    pub status: Status,
    /// The first failure, in one line.
    pub error: Option<String>,
    /// The pipeline file, relative to the project's root.
    pub pipeline: String,
    pub command: Vec<String>,
    pub started: String,
    pub finished: Option<String>,
    pub seconds: f64,
    pub seeds: Vec<u64>,
    pub device: String,
    pub threads: usize,
    pub runtime: Option<RuntimeRecord>,
    pub machine: Machine,
    /// The version of `pipe`.
    pub pipe_version: String,
    pub git: Option<Git>,
    /// Files and models that the pipeline reads, with their digests.
    pub data: Vec<External>,
    pub stages: Vec<StageRecord>,
    pub best: Option<Best>,
    /// The search, if the run is a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepRecord>,
}

/// The search of a sweep and its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    /// The identity of the sweep: the file with all its values, the seeds, and the settings that
    /// are part of the keys.
    pub identity: Digest,
    pub method: String,
    /// The figure that the search optimised.
    pub metric: Option<String>,
    /// `maximize` or `minimize`.
    pub goal: Option<String>,
    /// The keys of the parameters.
    pub parameters: Vec<String>,
    /// The number of trials that began.
    pub trials: usize,
    /// The numbers of trials that failed and that were ended early.
    pub failed: usize,
    pub stopped: usize,
    pub best: Option<BestTrial>,
}

/// The completed trial with the best mean figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestTrial {
    pub trial: u64,
    /// The values by key.
    pub values: IndexMap<String, Value>,
    /// The mean over the seeds.
    pub value: f64,
    /// The number of trials that it was chosen from.
    pub of: usize,
}

/// The outcome of a stage whose output was removed after its last use.
pub const DROPPED: &str = "dropped";
/// The outcome of a stage that nobody looked for, because all that follows from it was cached.
pub const NOT_NEEDED: &str = "not needed";

/// The layout of `provenance.json`.
pub const FORMAT: u32 = 2;

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The run is in progress, or its process was killed; its lock shows which.
    Running,
    Complete,
    Failed,
    Interrupted,
}

impl Status {
    /// Returns the displayed name.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Complete => "complete",
            Status::Failed => "failed",
            Status::Interrupted => "interrupted",
        }
    }
}

/// ONNX Runtime, if a stage uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecord {
    pub version: String,
    pub path: Option<String>,
    pub digest: Option<Digest>,
}

/// One stage for one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    pub stage: String,
    /// The trial, in a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u64>,
    pub seed: u64,
    pub key: Digest,
    /// The stages that give its inputs, by field. Runs of earlier versions have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// `cached`, `computed`, `failed`, `interrupted`, `not run`, [`NOT_NEEDED`] or [`DROPPED`].
    pub outcome: String,
    /// Set if it was computed in this run.
    pub seconds: Option<f64>,
}

/// The best evaluate stage, by its mean over the seeds; for lists of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub stage: String,
    pub metric: String,
    pub value: f64,
}

/// The computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub os: String,
    pub architecture: String,
    pub cpu: Option<String>,
    pub cores: usize,
}

/// The state of the pipeline file's repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    pub commit: String,
    /// Whether tracked files differ from the commit.
    pub dirty: bool,
}

impl Machine {
    /// Describes this computer.
    pub fn here() -> Machine {
        // Linux only; other systems report the architecture alone.
        let cpu = fs_err::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Machine {
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
