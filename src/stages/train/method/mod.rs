//! The ways in which a model learns from texts, one file each.

pub mod contract;
pub mod fine_tune;
pub mod probe;
pub mod contrastive;
pub mod lp_ft;
mod single;
pub mod auto;
mod rounds;
mod tune;
pub mod distil;
pub mod self_training;
pub mod method;

pub use contract::{Learner, Trained, Work};
pub use method::Method;
