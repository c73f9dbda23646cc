//! YAML as a tree with places, read and written.

pub mod node;
pub mod parse;
pub mod emit;
