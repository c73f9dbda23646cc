//! Data sets and result tables, through polars.

pub mod dataset;
pub mod curves;

pub use curves::Curves;
pub use dataset::{DataSet, Example, TableError};
