//! Data sets and their sources, predictions, curves and the summary of an augmentation, as tables.

pub mod split;
pub mod task;
pub mod seen;
pub mod text;
pub mod unlabelled;
pub mod dataset;
mod lineage;
pub mod source;
pub mod normal;
pub mod predictions;
pub mod predicted;
pub mod survey;
pub mod curves;
pub mod augmentation;
pub mod tag;
pub mod error;
pub mod frame;
pub mod difference;
pub mod stored;
mod unpacked;
pub mod guard;

pub use augmentation::{AugmentationRow, AugmentationSummary, AugmentationTable};
pub use curves::Curves;
pub use dataset::{DataSet, Example, Origin};
pub use error::TableError;
pub use predicted::{Added, PredictedTable, Values};
pub use predictions::Prediction;
pub use seen::Seen;
pub use split::{Scored, Split, Splits};
pub use tag::Tag;
pub use task::{Target, Task, TaskKind};
pub use text::Text;
pub use unlabelled::Unlabelled;
