//! The ONNX format: its messages, edits of encoded models, and writing a graph.

pub mod proto;
pub mod wire;
pub mod write;

#[cfg(test)]
pub use write::operators;
pub use write::{External, write, write_with};
