//! The contract between a stage and whoever runs it.

use super::error::CheckError;
use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::StageError;
use super::inputs::Inputs;
use super::output::{Kind, Output};
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::base::secrets::Secrets;
use crate::data::TaskKind;
use crate::engine::{Device, Runtime, RuntimeIdentity};
use crate::model::source::resolve;
use crate::stages::figure::Figures;

/// A piece of work with named inputs and one output.
///
/// A stage has no caching, timing or seeding of its own, and writes nothing but its own scratch
/// folder: the runner does that.
pub trait Stage: Sync {
    /// Names the code that computes the output; raised whenever the same configuration would give
    /// another output.
    fn code_version(&self) -> u32;

    /// Lists the inputs: the fields that hold another stage's id. They are the edges of the graph.
    fn inputs(&self) -> Vec<Port<'_>>;

    /// Checks what can be known before anything runs, from the configuration and from what is known
    /// of the inputs (in the order of [`Stage::inputs`]). Does no input or output. Returns every
    /// problem that it finds.
    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>>;

    /// Lists what the output depends on besides the configuration and the inputs: files, with their
    /// digests. `folder` is what relative paths start from. A missing file is an error here, before
    /// anything runs. Where `fetch` is given, something is about to run, and what is not on this
    /// machine yet may be fetched to be known. Asked once more after the work: what changed
    /// meanwhile makes the output worthless.
    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let _ = (folder, fetch);
        Ok(Vec::new())
    }

    /// Says whether the run's seed can change the output.
    fn uses_seed(&self) -> bool;

    /// Returns what the stage needs of ONNX Runtime; `None` where the runtime, the device and the
    /// number of threads cannot change the output.
    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>>;

    /// Returns the figures by which a sweep may judge the stage's output.
    fn figures(&self) -> Option<Figures> {
        None
    }

    /// Returns for how many epochs the stage trains; `None` where it trains nothing.
    fn epochs(&self) -> Option<Epochs> {
        None
    }

    /// Makes the stage's training pause after so many epochs. Other stages stay as they are.
    fn pause_at(&mut self, epochs: u32) {
        let _ = epochs;
    }

    /// Completes the configuration once it is read: by defaults that depend on its other settings,
    /// and by what the work needs of other stages' configurations, which their keys must cover.
    fn complete(&mut self, find: &Find<'_>) {
        let _ = find;
    }

    /// Does the work.
    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError>;
}

/// Returns the configuration of a stage.
pub type Find<'a> = dyn Fn(&StageId) -> Option<&'a dyn Any> + 'a;

/// What a stage needs of ONNX Runtime.
#[derive(Default)]
pub struct RuntimeNeeds<'a> {
    /// The device that the configuration names, in place of the run's.
    pub device: Option<Device>,
    /// The field of the configuration that only says where the work pauses, where it is set. Such
    /// work is the beginning of that without the field: both share their unfinished state, which
    /// stays when a pause is reached.
    pub pauses: Option<&'static str>,
    /// Refuses an ONNX Runtime or a device that the stage cannot run on, before anything runs.
    pub check: Option<CheckRuntime<'a>>,
}

/// See [`RuntimeNeeds::check`].
pub type CheckRuntime<'a> = Box<dyn Fn(&RuntimeIdentity, Device) -> Result<(), StageError> + 'a>;

/// For how many epochs a stage trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epochs {
    Fixed(u32),
    /// As many as a budget allows.
    Budget,
}

/// What a running stage gets from whoever runs it.
pub trait Ctx: Report {
    /// The stage's id, for messages.
    fn stage(&self) -> &str;
    /// The seed of this run; streams come from [`crate::base::seed::stream`], named by their
    /// purpose and never by the stage's id: the cache knows equal work by its configuration and
    /// inputs, whatever it is called.
    fn seed(&self) -> u64;
    /// The folder that relative paths of the pipeline file start from.
    fn folder(&self) -> &Path;
    /// A folder for the state of unfinished work, kept between attempts at the same work and
    /// removed after success. The writer creates it.
    fn scratch(&self) -> &Path;
    /// The device to compute on; never `auto`, which was decided before.
    fn device(&self) -> Device;
    /// The number of threads that the engine may use.
    fn threads(&self) -> usize;
    /// ONNX Runtime, found, installed if need be, and loaded at the first call.
    fn runtime(&self) -> Result<&Runtime, StageError>;
    /// The values of environment variables that the pipeline uses. An output that quotes the
    /// configuration has their names instead.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }
    /// Returns the output of a piece of the work that other stages may ask for too: what is kept of
    /// it, or what it gives now.
    fn shared(&self, piece: &dyn Piece) -> Result<Arc<dyn Output>, StageError>;
    /// Says whether the user has asked to stop; long work asks between steps and returns
    /// [`super::error::Interrupted`].
    fn interrupted(&self) -> bool;
}

/// A piece of work that several stages may ask for, such as the vectors of texts by one encoder.
///
/// The runner keeps its output like that of a stage. Everything that can change a bit of it is in
/// [`Piece::config`] and [`Piece::externals`], and what is known of the engine beside them.
pub trait Piece {
    /// Returns the name in the cache's keys.
    fn name(&self) -> &'static str;

    /// Names the code that computes the output; see [`Stage::code_version`].
    fn code_version(&self) -> u32;

    /// Returns all that the output depends on, except models and the engine.
    fn config(&self) -> Value;

    /// Lists the models that the output depends on.
    fn externals(&self) -> Vec<External>;

    /// Returns what the work gives.
    fn kind(&self) -> Kind;

    /// Does the work.
    ///
    /// # Errors
    ///
    /// Fails as the work of a stage does.
    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError>;
}

impl fmt::Debug for dyn Piece + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.config())
    }
}

/// The id of a stage in the pipeline file.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct StageId(pub String);

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A field of a stage that holds another stage's id.
#[derive(Clone, Debug)]
pub struct Port<'a> {
    /// The field's dotted key, such as `data`.
    pub field: &'static str,
    /// The stage that it names.
    pub stage: &'a StageId,
    /// What that stage has to give.
    pub expects: Kind,
    /// Which draw of that stage is read: 0 is its work under the run's seed, any other the same
    /// work, with the same inputs, under a seed that is made of the run's and this number.
    pub draw: u32,
}

/// What is known of a stage's output before anything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Data(DataFact),
    /// Another output, of which its kind alone is known.
    Of(Kind),
}

impl Fact {
    /// Returns what kind of output this is.
    pub fn kind(&self) -> Kind {
        match self {
            Fact::Data(_) => Kind::DATA,
            Fact::Of(kind) => *kind,
        }
    }
}

/// What is known of a data set before anything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFact {
    /// What is learnt from it.
    pub task: TaskKind,
    /// Whether there is a dev split.
    pub has_dev: bool,
    /// Whether there is a test split.
    pub has_test: bool,
    /// Whether train holds generated rows.
    pub augmented: bool,
    /// Whether there are texts without labels.
    pub unlabelled: bool,
}

impl DataFact {
    /// Returns what is wrong where a stage learns other tasks than that of the data set that a
    /// field names.
    pub fn misfit(&self, field: &str, tasks: &[TaskKind]) -> Option<CheckError> {
        let names: Vec<String> = tasks.iter().map(TaskKind::to_string).collect();
        (!tasks.contains(&self.task)).then(|| {
            let message = format!("expected data with {}, found {}", names.join(" or "), self.task);
            CheckError::new(field, message)
        })
    }
}

/// Something outside the pipeline file that an output depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// What it is, for people: the path or name as the file gives it.
    pub name: String,
    /// The digest of its content.
    pub digest: Digest,
}

impl External {
    /// Identifies a pretrained model by its reference; see [`crate::model::source::resolve`].
    pub fn model(
        reference: &str,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<External, StageError> {
        Ok(External {
            name: reference.to_owned(),
            digest: resolve::identity(reference, folder, fetch)?,
        })
    }
}

/// Returns `path` as it stands in a pipeline file, made absolute against the file's folder.
pub fn resolve(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}
