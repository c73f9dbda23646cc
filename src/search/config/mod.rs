//! The configuration of `sweep`.

pub mod sweep;
pub mod method;
pub mod parameter;
pub mod check;

pub use check::Fault;
pub use method::{Asha, Guided, Hyperband, MedianStop, Method, QuasiRandom, Random, Sample};
pub use parameter::{Distribution, Parameter};
pub use sweep::{Goal, KeepModels, Metric, Stop, Sweep};
