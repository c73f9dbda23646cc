//! What changes a tree before it is typed: overrides and interpolation.

pub mod overrides;
pub mod interpolate;
pub(super) mod uses;
pub(super) mod unused;
