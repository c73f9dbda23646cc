//! Users' tables (CSV, TSV, JSON lines and Parquet), read into labelled texts.

pub mod read;
pub mod settings;
pub mod row;
pub mod remark;
mod format;
mod content;
mod delimited;
mod records;
mod json_lines;
mod parquet;
mod columns;
mod pieces;
pub mod part;
pub mod whole;
pub mod error;
#[cfg(test)]
mod tests;

pub use columns::nearest;
pub use error::SourceError;
pub use format::Format;
pub use part::{Original, Part};
pub use read::{Table, read};
pub use remark::Remark;
pub use row::{Place, SourceRow};
pub use settings::{Empty, Encoding, Quoting, Reading, Separator};
pub use whole::{Form, Origin, Unread, WholeTable};
