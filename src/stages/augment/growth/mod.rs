//! From the texts that a method generates to the texts that are added.

mod growth;
pub mod quality;

pub(in crate::stages::augment) use growth::*;
