//! The quality of generated texts: their distance to the real texts of their class.

pub mod config;
pub mod filter;
mod spread;

pub use config::{Distance, Keep};
pub use filter::Filter;
