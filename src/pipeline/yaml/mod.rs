//! YAML as a tree with places, read and written.

pub(super) mod node;
pub(super) mod parse;
pub(super) mod secret;
pub(super) mod emit;
