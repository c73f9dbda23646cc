//! The stage `load`: reads labelled texts and splits them.

pub mod config;
pub mod stage;
pub mod error;
mod check;
mod duplicates;
mod labels;
mod split;
mod unlabelled;
#[cfg(test)]
mod tests;

pub use config::{Duplicates, Files, Load, SplitSizes, UnlabelledTexts};
pub use error::LoadError;
