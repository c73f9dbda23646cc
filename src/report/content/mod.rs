//! What a report shows, gathered from runs.

pub mod content;
pub mod gather;
pub mod training;
pub mod trial;
pub mod tally;
