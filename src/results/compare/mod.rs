//! Comparisons of recipes: from rows of results to verdicts.

pub mod input;
pub mod error;
pub mod comparison;
pub mod build;
mod draft;
mod baseline;
mod items;
mod seeds;
mod verdict;
mod ranks;
mod select;
mod by;
mod examples;
pub(in crate::results) mod notes;
#[cfg(test)]
mod tests;

pub use build::compare;
pub use comparison::{
    Against, ByParameter, Comparison, Cost, Example, Examples, Group, Items, Ranks, Recipe,
    Selected, Skipped, Test, TestRows, Verdict, Vote,
};
pub use error::CompareError;
pub use input::{Request, Source};
