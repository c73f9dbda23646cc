//! Problems of a pipeline file and how they are shown.

pub mod source;
pub mod suggest;
pub mod problem;
pub mod error;
mod render;
