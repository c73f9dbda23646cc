//! What changes a tree before it is typed: overrides and interpolation.

pub mod overrides;
pub mod interpolate;
