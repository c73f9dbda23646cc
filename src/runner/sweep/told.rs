//! What came of the trials of a sweep.

use crate::runner::RunError;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cell::Model;
use super::trial::Trial;
use crate::base::digest::Digest;
use crate::results::ResultRow;
use crate::runner::record::provenance::StageRecord;

/// What is known of a trial: as far as it came.
#[derive(Debug)]
pub(super) struct Told {
    pub trial: Arc<Trial>,
    /// How far it was trained; `None` for to the end.
    pub epochs: Option<u32>,
    pub rows: Vec<ResultRow>,
    pub records: Vec<StageRecord>,
    /// The mean over the seeds.
    pub figure: Option<f64>,
    pub error: Option<String>,
    pub cached: bool,
    /// Every model behind it, and those that were trained for it by this process and are not doomed
    /// yet.
    pub all_models: Vec<Digest>,
    pub models: Vec<Model>,
}

/// What came out of a sweep.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// By trial.
    pub trials: BTreeMap<usize, Told>,
    pub computed: usize,
    pub cached: usize,
    /// Whether the search came to its end.
    pub is_complete: bool,
    /// Unfinished state that nothing will go on from.
    pub work_keys: Vec<Digest>,
    /// What went wrong with the sweep itself.
    pub error: Option<RunError>,
}
