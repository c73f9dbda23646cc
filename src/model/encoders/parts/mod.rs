//! What encoders are built of.

pub mod fields;
pub mod builder;
pub mod blocks;
pub mod relative;
pub mod pooling;
