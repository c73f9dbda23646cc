//! The optimizer as a graph of its own: parameters, gradients and state in, new parameters and
//! state out. Each rule of update is a file.

pub mod clipping;
pub mod update;
pub mod adamw;
pub mod sgd;
pub mod config;

pub use adamw::AdamW;
pub use clipping::{clip_scale, global_norm};
pub use config::{GRADIENT_NORM, OptimizerConfig, ParameterGroup};
pub use sgd::Sgd;
pub use update::Update;
