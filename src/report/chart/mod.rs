//! The charts, one file each, and what they draw with.

pub mod number;
pub mod axis;
pub mod scale;
pub mod draw;
pub mod intervals;
pub mod critical_difference;
pub mod curves;
pub mod scatter;
pub mod parallel;
pub mod confusion;
