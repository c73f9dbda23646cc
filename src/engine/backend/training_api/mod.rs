//! Training by ONNX Runtime's training API: its artifacts, its checkpoint, and the calls.

pub mod error;
pub mod checkpoint;
pub mod artifacts;
pub mod session;
pub mod trainer;
