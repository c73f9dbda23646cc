//! Objectives of texts alone, by which an encoder goes on with its pretraining.

pub mod masked_lm;
pub mod simcse;
pub mod tsdae;
#[cfg(test)]
mod tests;

pub use masked_lm::{MaskedTexts, MaskedTokens};
pub use simcse::Simcse;
pub use tsdae::{DeletedTexts, Tsdae};
