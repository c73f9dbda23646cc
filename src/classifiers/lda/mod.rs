//! Linear discriminant analysis with a shrunken covariance.

pub mod ledoit_wolf;
mod scatter;
pub mod leave_one_out;
pub mod lda;

pub use lda::{Lda, Prior, Shrinkage};
pub use ledoit_wolf::LedoitWolf;
