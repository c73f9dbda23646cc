//! A report: results as one HTML file that needs nothing beside it.

pub mod content;
pub mod chart;
pub mod page;
pub mod policy;
pub mod said;
pub mod table;
pub mod per_class;
pub mod provenance;
#[cfg(test)]
mod tests;
