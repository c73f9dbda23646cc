//! What came of the trials of a sweep.

use crate::runner::RunError;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cell::Model;
use super::trial::Trial;
use crate::base::digest::Digest;
use crate::results::ResultRow;
use crate::runner::record::provenance::StageRecord;

/// The results of a trial so far.
#[derive(Debug)]
pub(super) struct Told {
    pub trial: Arc<Trial>,
    /// The epochs that it was trained for; `None` for a full training.
    pub epochs: Option<u32>,
    pub rows: Vec<ResultRow>,
    pub records: Vec<StageRecord>,
    /// The mean over the seeds.
    pub figure: Option<f64>,
    pub error: Option<String>,
    pub cached: bool,
    /// All models that it uses, and those that this process trained for it and has not doomed yet.
    pub all_models: Vec<Digest>,
    pub models: Vec<Model>,
}

/// The results of a sweep.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// The results by trial number.
    pub trials: BTreeMap<usize, Told>,
    pub computed: usize,
    pub cached: usize,
    /// Whether the search is complete.
    pub is_complete: bool,
    /// The keys of unfinished state that nothing will resume.
    pub work_keys: Vec<Digest>,
    /// The error of the sweep itself.
    pub error: Option<RunError>,
}
