//! What all work of one command stands on: the project, its cache, and ONNX Runtime.

use std::path::Path;

use super::cache::Cache;
use super::error::{Phase, RunError, StageFailure};
use super::job::Job;
use super::key::RuntimeMaterial;
use super::project::Project;
use super::provenance::RuntimeRecord;
use crate::base::report::Report;
use crate::engine::{Device, Runtime, RuntimeIdentity};
use crate::stages::External;

/// The project, its cache, and ONNX Runtime where a stage uses it.
#[derive(Debug)]
pub struct Ground {
    pub project: Project,
    pub cache: Cache,
    /// The pipeline file relative to the project's root.
    pub file: String,
    pub runtime: Option<RuntimeRecord>,
    /// What of the engine is in the keys.
    pub material: Option<RuntimeMaterial>,
    identity: Option<RuntimeIdentity>,
}

impl Ground {
    /// Finds the project of a pipeline file, and ONNX Runtime where it is used. With `install`, a missing runtime is installed now, since its
    /// library is part of the keys.
    pub fn new(
        file: &Path,
        uses_runtime: bool,
        device: Device,
        threads: usize,
        install: bool,
        report: &dyn Report,
    ) -> Result<Ground, RunError> {
        let project = Project::of_file(file)?;
        let identity = match uses_runtime {
            true => Some(runtime_identity(device, threads, install, report)?),
            false => None,
        };
        let runtime = identity.as_ref().map(|identity| RuntimeRecord {
            version: identity.version.clone(),
            path: identity.path.as_ref().map(|path| path.display().to_string()),
            digest: identity.digest,
        });
        let material = runtime.as_ref().map(|runtime| RuntimeMaterial {
            version: runtime.version.clone(),
            library: runtime.digest,
            device: device.to_string(),
            threads,
        });
        let (cache, file) = (Cache::new(&project), project.relative(file));
        Ok(Ground { project, cache, file, runtime, material, identity })
    }

    /// Lets every stage refuse the runtime.
    pub fn check_runtime(&self, jobs: &[Job<'_>]) -> Result<(), StageFailure> {
        let Some(identity) = &self.identity else { return Ok(()) };
        jobs.iter().try_for_each(|job| job.stage.check_runtime(identity).map_err(|error| before(job, error)))
    }
}

/// Returns what a job depends on besides its configuration and inputs.
pub fn externals(
    job: &Job<'_>,
    folder: &Path,
    fetch: Option<&dyn Report>,
) -> Result<Vec<External>, StageFailure> {
    job.stage.externals(folder, fetch).map_err(|error| before(job, error))
}

fn before(job: &Job<'_>, error: crate::stages::StageError) -> StageFailure {
    StageFailure { stage: job.id.clone(), phase: Phase::Before, error }
}

fn runtime_identity(
    device: Device,
    threads: usize,
    install: bool,
    report: &dyn Report,
) -> Result<RuntimeIdentity, RunError> {
    let identity = Runtime::identify(device)?;
    if identity.path.is_none() && install {
        return Ok(Runtime::get(device, threads, report)?.identity.clone());
    }
    Ok(identity)
}
