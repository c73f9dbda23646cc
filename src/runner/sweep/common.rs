//! The data that all trials of a sweep share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::settings::SweepSettings;
use super::trial::{self, Body, Trial};
use crate::base::report::Report;
use crate::dag::plan::Plan;
use crate::dag::trials;
use crate::pipeline::Spec;
use crate::runner::error::RunError;
use crate::runner::job::{Job, jobs};
use crate::runner::run::ground::{self, Ground};
use crate::runner::run::pipeline::Pipeline;
use crate::runner::run::tasks::Tasks;
use crate::search::config::check::Parameters;
use crate::search::config::{Goal, Metric, Sweep};
use crate::search::{Point, Search};
use crate::stages::{External, figure};

/// The data that all trials of a sweep share.
pub(super) struct Common<'a> {
    pub spec: &'a Spec,
    pub sweep: &'a Sweep,
    pub parameters: Parameters,
    pub ground: Ground,
    pub settings: SweepSettings,
    /// The pipeline without a trial's values.
    pub pipeline: Pipeline,
    /// The length of a full training in epochs, for methods that end some early.
    max_epochs: u32,
    /// The files and models of configurations, by kind and configuration; most trials read the same
    /// ones.
    externals: Mutex<BTreeMap<String, Arc<Vec<External>>>>,
}

impl<'a> Common<'a> {
    /// Finds everything that the trials share. With `install`, missing files are fetched.
    pub(super) fn new(
        spec: &'a Spec,
        sweep: &'a Sweep,
        plan: &Plan,
        mut settings: SweepSettings,
        install: bool,
        report: &dyn Report,
    ) -> Result<Common<'a>, RunError> {
        // The file was checked before, with all its problems at once.
        let parameters = sweep.check().map_err(|faults| RunError::Config {
            stage: "sweep".to_owned(),
            reason: faults.first().map(|fault| fault.message.clone()).unwrap_or_default(),
        })?;
        let plain = jobs(plan)?;
        let (devices, threads) = (&settings.devices, settings.threads);
        let ground = Ground::new(&spec.path, &plain, devices, threads, install, report)?;
        settings.devices.clone_from(&ground.devices);
        ground.check_runtime(&plain)?;
        let max_epochs =
            sweep.metric.as_ref().and_then(|metric| trials::max_epochs(plan, metric)).unwrap_or(1);
        let pipeline = Pipeline::of(spec);
        let externals = Mutex::default();
        let common =
            Common { spec, sweep, parameters, ground, settings, pipeline, max_epochs, externals };
        plain
            .iter()
            .try_for_each(|job| common.externals(job, install.then_some(report)).map(|_| ()))?;
        Ok(common)
    }

    /// Returns a new search.
    pub(super) fn search(&self) -> Search {
        Search::new(self.sweep, self.parameters.space.clone(), self.spec.seed, self.max_epochs)
    }

    /// Returns the figure that the search optimises, and its goal.
    pub(super) fn metric(&self) -> Option<(&'a Metric, Goal)> {
        let metric = self.sweep.metric.as_ref()?;
        let is_loss = metric.parts().is_some_and(|(_, name)| figure::less_is_better(name));
        let usual = if is_loss { Goal::Minimize } else { Goal::Maximize };
        Some((metric, metric.goal.unwrap_or(usual)))
    }

    /// Returns the trial at a point.
    pub(super) fn trial(&self, number: usize, point: &Point) -> Trial {
        let values = trials::values(&self.parameters, point);
        let body = match trials::open(self.spec, &values) {
            Ok((spec, plan)) => Ok(Body { params: trial::with_values(spec.params, &values), plan }),
            Err(error) => {
                let problem = error.problems().first().map(|problem| problem.message.clone());
                Err(problem.unwrap_or_else(|| error.to_string()))
            }
        };
        Trial { number, values, body }
    }

    /// Returns the tasks of a plan for some seeds.
    pub(super) fn tasks(
        &self,
        jobs: &[Job<'_>],
        seeds: &[u64],
        fetch: Option<&dyn Report>,
    ) -> Result<Tasks, RunError> {
        let externals = jobs
            .iter()
            .map(|job| self.externals(job, fetch).map(|found| found.as_ref().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Tasks::new(jobs, seeds, self.ground.material.as_ref(), &externals))
    }

    /// Returns the method's name in a pipeline file.
    pub(super) fn method_name(&self) -> String {
        match serde_json::to_value(&self.sweep.method) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Returns the files and models of all trials so far, by name.
    pub(super) fn all_externals(&self) -> Vec<External> {
        let known = self.externals.lock().unwrap_or_else(PoisonError::into_inner);
        let by_name: BTreeMap<&str, &External> = known
            .values()
            .flat_map(|found| found.iter())
            .map(|found| (found.name.as_str(), found))
            .collect();
        by_name.into_values().cloned().collect()
    }

    fn externals(
        &self,
        job: &Job<'_>,
        fetch: Option<&dyn Report>,
    ) -> Result<Arc<Vec<External>>, RunError> {
        let name = format!("{} {}", job.kind_name, job.config);
        let known =
            self.externals.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = Arc::new(ground::externals(job, &self.spec.folder, fetch)?);
        self.externals.lock().unwrap_or_else(PoisonError::into_inner).insert(name, found.clone());
        Ok(found)
    }
}
