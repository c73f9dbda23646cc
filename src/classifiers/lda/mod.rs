//! Linear discriminant analysis with a shrunken covariance.

pub mod ledoit_wolf;
pub mod priors;
mod scatter;
mod leave_one_out;
pub mod lda;

pub use lda::{Lda, Shrinkage, leave_one_out};
pub use ledoit_wolf::LedoitWolf;
pub use priors::Prior;
