//! The optimizers, each with its settings and their check in a file of its own.

mod groups;
pub mod adamw;
pub mod sgd;
pub mod optimizer;

pub use adamw::AdamW;
pub use optimizer::Optimizer;
pub use sgd::Sgd;
