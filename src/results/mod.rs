//! Result tables: rows and columns, comparisons of recipes, and their forms as text.

pub mod row;
pub mod results;
mod columns;
mod results_csv;
mod results_types;
pub mod compare;
pub mod format;

pub use results::ResultTable;
pub use row::ResultRow;
