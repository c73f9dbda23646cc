//! The preview of a sweep: its trials and their expected time.

use std::collections::{BTreeMap, BTreeSet};

use super::common::Common;
use super::trial::Trial;
use crate::base::digest::Digest;
use crate::runner::error::RunError;
use crate::runner::job::jobs;
use crate::search::{Next, Outcome};

/// The preview of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// The largest number of trials.
    pub trials: usize,
    /// The trials that are known beforehand.
    pub listed: Vec<ListedTrial>,
    /// The number of stages that would run for the listed trials, and their expected seconds;
    /// `None` if a stage never ran here before.
    pub missing: usize,
    pub seconds: Option<f64>,
    /// Whether all trials are listed.
    pub is_whole: bool,
}

/// A trial of the preview.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTrial {
    pub number: usize,
    /// The values in readable form.
    pub values: String,
    /// The number of seeds whose results are cached.
    pub cached_seeds: usize,
    /// The number of seeds with missing results.
    pub missing_seeds: usize,
    /// The reason why it cannot run.
    pub error: Option<String>,
}

/// Lists the trials of a search that are known before any has run, and their missing stages.
pub(super) fn overview(common: &Common<'_>) -> Result<Overview, RunError> {
    let mut search = common.search();
    let mut overview = Overview { trials: search.limit(), ..Overview::default() };
    let history = history(common)?;
    let mut known = BTreeSet::new();
    let mut seconds = Some(0.0);
    let is_listable = search.is_listable();
    while let Next::Run(request) = search.ask() {
        if request.trial == overview.listed.len() {
            let trial = common.trial(request.trial, search.point(request.trial));
            let listed =
                list(common, &trial, &history, &mut known, &mut overview.missing, &mut seconds)?;
            overview.listed.push(listed);
        }
        if is_listable {
            search.tell(request, Outcome::Failed);
        }
    }
    overview.is_whole = is_listable;
    overview.seconds = seconds;
    Ok(overview)
}

/// Looks one trial up. `known` holds the keys that were counted; `missing` and `seconds` are
/// increased.
fn list(
    common: &Common<'_>,
    trial: &Trial,
    history: &BTreeMap<String, f64>,
    known: &mut BTreeSet<Digest>,
    missing: &mut usize,
    seconds: &mut Option<f64>,
) -> Result<ListedTrial, RunError> {
    let mut listed = ListedTrial {
        number: trial.number,
        values: trial.label(),
        cached_seeds: 0,
        missing_seeds: 0,
        error: None,
    };
    let body = match &trial.body {
        Ok(body) => body,
        Err(reason) => return Ok(ListedTrial { error: Some(reason.clone()), ..listed }),
    };
    let plan = body.plan(common.metric().map(|(metric, _)| metric), None);
    let jobs = jobs(&plan)?;
    let tasks = match common.tasks(&jobs, &common.settings.seeds, None) {
        Ok(tasks) => tasks,
        Err(error) => {
            let reason = super::cell::chain(&error);
            return Ok(ListedTrial { error: Some(reason), ..listed });
        }
    };
    let named = common.metric().and_then(|(metric, _)| metric.parts()).map(|(stage, _)| stage);
    for &seed in &common.settings.seeds {
        let there = |job: usize| {
            let key = tasks.index(job, seed).map(|task| tasks.all[task].key);
            let cache = &common.ground.cache;
            let is_there = |key: &Digest| cache.find_records(jobs[job].output, key).hit().is_some();
            key.is_some_and(|key| known.contains(&key) || is_there(&key))
        };
        let is_target =
            |job: &usize| jobs[*job].output.has_scores() || named == Some(jobs[*job].id.as_str());
        let targets = || (0..jobs.len()).filter(is_target);
        if targets().all(there) {
            listed.cached_seeds += 1;
            continue;
        }
        listed.missing_seeds += 1;
        for (index, _, task) in tasks.of_seed(seed) {
            let (job, key) = (&jobs[index], tasks.all[task].key);
            if !known.insert(key) || common.ground.cache.entry(&key).is_some() {
                continue;
            }
            *missing += 1;
            let expected = history.get(job.id.as_str());
            *seconds = seconds.zip(expected).map(|(sum, more)| sum + more);
        }
    }
    Ok(listed)
}

/// Returns the median seconds of each stage of this pipeline file over its cached outputs.
fn history(common: &Common<'_>) -> Result<BTreeMap<String, f64>, RunError> {
    let cache = &common.ground.cache;
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for key in cache.keys()? {
        if let Some(entry) =
            cache.entry(&key).filter(|entry| entry.done.pipeline == common.ground.file)
        {
            all.entry(entry.done.stage).or_default().push(entry.done.seconds);
        }
    }
    Ok(all
        .into_iter()
        .map(|(stage, mut seconds)| {
            seconds.sort_by(f64::total_cmp);
            let median = seconds[seconds.len() / 2];
            (stage, median)
        })
        .collect())
}
