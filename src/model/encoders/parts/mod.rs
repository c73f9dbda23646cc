//! What encoders are built of.

pub mod fields;
pub mod module;
pub mod builder;
pub mod linear;
pub mod blocks;
pub mod relative;
pub mod pooling;
pub mod mixing;
pub mod decoding;
