//! Some rows of a table, with all of their columns.

use polars::prelude::DataFrame;
use serde_json::value::RawValue;

use super::row::Place;

/// Rows of a table as they were read.
#[derive(Debug)]
pub enum Original {
    /// Fields by column; rows may be shorter than the header.
    Fields(Vec<Vec<String>>),
    /// The members of objects.
    Objects(Vec<Vec<(String, Box<RawValue>)>>),
    Frame(DataFrame),
}

/// Some rows of a table, in their order.
#[derive(Debug)]
pub struct Part {
    pub places: Vec<Place>,
    /// Their texts; `None` for a row without one.
    pub texts: Vec<Option<String>>,
    pub original: Original,
}
