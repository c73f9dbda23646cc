//! model.safetensors or pytorch_model.bin: where a model's parameters lie, what files call them,
//! and reading them in single precision.

pub mod files;
pub mod names;
pub mod pickled;
pub mod read;
pub mod tensors;
pub mod write;

pub use files::{file_of, files};
pub use read::{look, look_at_dense, look_at_whole, read_whole};
pub use tensors::{Tensors, Weights};
pub use write::{Floats, HEAD, WHOLE, save, write};
