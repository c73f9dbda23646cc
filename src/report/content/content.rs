//! Everything that a report shows, read and worked out.

use super::tally::Tally;
use super::training::Training;
use super::trial::Trials;
use crate::results::compare::Comparison;
use crate::runner::record::provenance::Provenance;

/// So many recipes can be told apart by colour and dashes; further ones are not drawn as lines.
pub const LINES: usize = 7;

/// Everything that a report shows.
#[derive(Clone, Debug)]
pub struct Content {
    pub runs: Vec<RunContent>,
    pub comparison: Comparison,
    /// The curves of the first recipes.
    pub trainings: Vec<Training>,
    /// `None` outside of sweeps.
    pub trials: Option<Trials>,
    /// How the predictions of the first recipes fell.
    pub tallies: Vec<Tally>,
    /// Errors of failed rows: where they are from, and what they say.
    pub errors: Vec<(String, String)>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
}

/// A run, or a trial of one.
#[derive(Clone, Debug)]
pub struct RunContent {
    pub provenance: Provenance,
    /// The state that people see.
    pub status: String,
    /// The file with all defaults and overrides in it.
    pub resolved: Option<String>,
}
