//! The methods, one file each: configuration, definition and tests.

pub mod contract;
mod program;
pub mod synonym_replacement;
pub mod random_insertion;
pub mod random_swap;
pub mod random_deletion;
pub mod eda;
pub mod aeda;
pub mod segment_recombination;
pub mod coarse_graining;
pub mod markov;
pub mod hmm;
pub mod masked_lm;
pub mod command;
pub mod chain;
pub mod mix;
#[cfg(test)]
pub(super) mod testing;
