//! Graphs of operators: building them, their gradients, optimizers and mixed precision.
//!
//! Nothing here uses ONNX Runtime.

pub mod fact;
pub mod graph;
pub mod op;
pub mod build;
pub mod packing;
pub mod attention;
pub mod pooling;
pub mod autodiff;
pub mod lower;
pub mod loss_scale;
pub mod optimizer;
