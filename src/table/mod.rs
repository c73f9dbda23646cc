//! Data sets, predictions, metrics, result tables, statistics and comparisons, through polars.

pub mod dataset;
pub mod source;
pub mod source_error;
pub mod normal;
pub mod predictions;
pub mod metrics;
pub mod curves;
pub mod augmentation;
pub mod results;
mod results_csv;
pub mod tag;
pub mod statistics;
pub mod compare;
pub mod format;
pub mod error;
mod frame;
mod guard;

pub use augmentation::{AugmentationRow, AugmentationSummary, AugmentationTable};
pub use curves::Curves;
pub use dataset::{DataSet, Example};
pub use error::TableError;
pub use predictions::Prediction;
pub use results::{ResultRow, ResultTable};
pub use tag::Tag;
