//! The origin of a row of a run's table.

use polars::prelude::*;

/// The stage, trial and seed of a block of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub stage: String,
    /// The trial of a sweep; `None` without a sweep.
    pub trial: Option<u64>,
    pub seed: u64,
}

/// Returns the columns `stage`, `trial` and `seed` for blocks with these numbers of rows.
pub(crate) fn columns<'a>(blocks: impl Iterator<Item = (&'a Tag, usize)>) -> Vec<Column> {
    let (mut stages, mut trials, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
    for (tag, rows) in blocks {
        for _ in 0..rows {
            stages.push(tag.stage.as_str());
            trials.push(tag.trial);
            seeds.push(tag.seed);
        }
    }
    vec![
        Column::new("stage".into(), stages),
        Column::new("trial".into(), trials),
        Column::new("seed".into(), seeds),
    ]
}
