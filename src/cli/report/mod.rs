//! `pipe report`: results as one self-contained HTML file.

pub mod command;
pub mod gather;
pub mod content;
pub mod page;
pub mod said;
pub mod table;
pub mod number;
pub mod axis;
pub mod scale;
pub mod draw;
pub mod intervals;
pub mod critical_difference;
pub mod training;
pub mod curves;
pub mod trial;
pub mod scatter;
pub mod parallel;
pub mod tally;
pub mod confusion;
pub mod per_class;
pub mod provenance;
#[cfg(test)]
mod tests;
