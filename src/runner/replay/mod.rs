//! Computes a run again, beside its stored outputs, and compares both bit for bit.

mod difference;
mod surroundings;
pub mod replay;

pub use replay::{Differs, Replay, Replayed, replay};
