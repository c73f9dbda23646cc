//! Statistics over results, for differences beyond noise. Pure functions of numbers.

pub mod summary;
pub mod student;
pub mod effect;
pub mod power;
pub mod wilcoxon;
pub mod mcnemar;
pub mod holm;
pub mod friedman;
pub mod studentized_range;
pub mod bootstrap;
pub mod selection;
#[cfg(test)]
mod tests;

pub use bootstrap::{Bootstrap, paired_bootstrap};
pub use effect::cohens_dz;
pub use friedman::{Friedman, critical_difference, friedman};
pub use holm::holm;
pub use mcnemar::{mcnemar, twice_the_median};
pub use power::seeds_needed;
pub use selection::{Selection, selection};
pub use student::{Difference, paired, welch};
pub use summary::{Interval, Summary, mean, mean_and_deviation};
pub use wilcoxon::wilcoxon;
