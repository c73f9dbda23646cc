//! The environment that all work of a command shares: the project, its cache, and ONNX Runtime.

use std::path::Path;

use crate::base::report::Report;
use crate::engine::{Device, Runtime, RuntimeIdentity};
use crate::runner::cache::cache::Cache;
use crate::runner::cache::key::RuntimeMaterial;
use crate::runner::error::{Phase, RunError, StageFailure};
use crate::runner::job::Job;
use crate::runner::project::Project;
use crate::runner::record::provenance::RuntimeRecord;
use crate::stages::{External, hidden};

/// The project, its cache, and ONNX Runtime if a stage uses it.
#[derive(Debug)]
pub struct Ground {
    pub project: Project,
    pub cache: Cache,
    /// The pipeline file relative to the project's root.
    pub file: String,
    pub runtime: Option<RuntimeRecord>,
    /// The requested devices, with `auto` resolved, for stages that name no device. The first one
    /// is part of the keys.
    pub devices: Vec<Device>,
    /// The engine's part of the keys.
    pub material: Option<RuntimeMaterial>,
    identity: Option<RuntimeIdentity>,
}

impl Ground {
    /// Finds the project of a pipeline file, and ONNX Runtime if a job uses it. With `install`, a
    /// missing runtime is installed now, since its library is part of the keys, and every requested
    /// GPU must exist.
    pub fn new(
        file: &Path,
        jobs: &[Job<'_>],
        devices: &[Device],
        threads: usize,
        install: bool,
        report: &dyn Report,
    ) -> Result<Ground, RunError> {
        let project = Project::of_pipeline(file)?;
        let mut identity = None;
        let mut devices = devices.to_vec();
        let users = || jobs.iter().filter(|job| job.uses_runtime());
        if users().next().is_some() {
            for device in &mut devices {
                let (decided, reason) = Runtime::decide(*device, install.then_some(report))?;
                reason.iter().for_each(|reason| report.note(reason));
                *device = decided;
            }
            let named =
                |job: &Job<'_>| job.device().map_or_else(|| devices.clone(), |named| vec![named]);
            let mut wanted: Vec<Device> = users().flat_map(named).collect();
            // One library serves all devices; the one for GPUs can do everything that the other
            // can.
            wanted.sort_by_key(|device| !matches!(device, Device::Cuda(_)));
            let first = wanted.first().copied().unwrap_or_default();
            identity = Some(runtime_identity(first, threads, install, report)?);
            if install {
                let gpus = wanted.iter().filter(|device| matches!(device, Device::Cuda(_)));
                gpus.copied().try_for_each(|gpu| Runtime::get(gpu, threads, report).map(|_| ()))?;
            }
        }
        let runtime = identity.as_ref().map(|identity| RuntimeRecord {
            version: identity.version.clone(),
            path: identity.path.as_ref().map(|path| path.display().to_string()),
            digest: identity.digest,
        });
        let material = runtime.as_ref().map(|runtime| RuntimeMaterial {
            version: runtime.version.clone(),
            library: runtime.digest,
            device: devices.first().copied().unwrap_or_default().to_string(),
            threads,
        });
        let (cache, file) = (Cache::new(&project), project.pipeline(file));
        Ok(Ground { project, cache, file, runtime, devices, material, identity })
    }

    /// Lets every stage reject the runtime or the device.
    pub fn check_runtime(&self, jobs: &[Job<'_>]) -> Result<(), StageFailure> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let run = self.devices.first().copied().unwrap_or_default();
        jobs.iter().try_for_each(|job| {
            let Some(needs) = job.stage.runtime_needs() else { return Ok(()) };
            let Some(check) = needs.check else { return Ok(()) };
            check(identity, needs.device.unwrap_or(run)).map_err(|error| before(job, error))
        })
    }
}

/// Returns the files and models that a job depends on besides its configuration and inputs.
pub fn externals(
    job: &Job<'_>,
    folder: &Path,
    fetch: Option<&dyn Report>,
) -> Result<Vec<External>, StageFailure> {
    job.externals(folder, fetch).map_err(|error| before(job, error))
}

fn before(job: &Job<'_>, error: crate::stages::StageError) -> StageFailure {
    let error = hidden(error, &job.secrets);
    StageFailure { stage: job.id.clone(), phase: Phase::Before, error }
}

fn runtime_identity(
    device: Device,
    threads: usize,
    install: bool,
    report: &dyn Report,
) -> Result<RuntimeIdentity, RunError> {
    let identity = Runtime::identify(device)?;
    if install && identity.path.is_none() {
        return Ok(Runtime::get(device, threads, report)?.identity.clone());
    }
    Ok(identity)
}
