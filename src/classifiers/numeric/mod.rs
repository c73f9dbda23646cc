//! The few algorithms of linear algebra that the fits need, and scores of logits.

pub(super) mod cholesky;
pub(super) mod span;
pub(super) mod tridiagonal;
pub(super) mod score;
