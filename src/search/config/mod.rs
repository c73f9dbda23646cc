//! The configuration of `sweep`.

pub mod sweep;
pub mod method;
pub mod parameter;
pub mod check;

pub use check::Fault;
pub use method::{Asha, GaussianProcess, Hyperband, MedianStop, Method, QuasiRandom, Random, Sample, Tpe};
pub use parameter::{Distribution, Parameter};
pub use sweep::{Goal, KeepModels, Metric, Stop, Sweep};
