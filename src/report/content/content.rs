//! The content of a report: everything that it shows.

use super::tally::Tally;
use super::training::Training;
use super::trial::Trials;
use crate::results::compare::Comparison;
use crate::runner::record::provenance::Provenance;

/// The number of recipes that colours and dashes can distinguish; further ones are not drawn as
/// lines.
pub const LINES: usize = 7;

/// The content of a report.
#[derive(Clone, Debug)]
pub struct Content {
    pub runs: Vec<RunContent>,
    pub comparison: Comparison,
    /// The curves of the first recipes.
    pub trainings: Vec<Training>,
    /// `None` without a sweep.
    pub trials: Option<Trials>,
    /// The confusion counts of the first recipes.
    pub tallies: Vec<Tally>,
    /// Errors of failed rows: the place and the message of each.
    pub errors: Vec<(String, String)>,
    /// Sentences about files that could not be read.
    pub gaps: Vec<String>,
}

/// A run, or a trial of one.
#[derive(Clone, Debug)]
pub struct RunContent {
    pub provenance: Provenance,
    /// The status as users see it.
    pub status: String,
    /// The pipeline file with all defaults and overrides filled in.
    pub resolved: Option<String>,
}
