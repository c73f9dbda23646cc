//! Result tables as text: for the terminal, Markdown, CSV and JSON. Pure functions that print
//! nothing.

pub mod options;
pub mod people;
pub mod machine;
pub mod classes;
pub mod compared;
pub mod compared_csv;
mod grid;

pub use classes::{confusion, per_class};
pub use machine::{csv, json};
pub use options::{FormatError, Options};
pub use people::{markdown, terminal};
