//! Learning curves: loss, learning rate and dev metrics by step.

use std::path::Path;

use super::dataset::TableError;

/// Learning curves: one row per optimizer step, dev metrics on the rows that end an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves(pub Vec<CurvePoint>);

/// One optimizer step.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurvePoint {
    /// From 1.
    pub step: u64,
    /// From 1.
    pub epoch: u32,
    /// The mean loss of the step's examples.
    pub loss: f64,
    pub learning_rate: f64,
    /// The global L2 norm of the gradients before clipping, where it was computed.
    pub gradient_norm: Option<f64>,
    pub dev_loss: Option<f64>,
    pub dev_accuracy: Option<f64>,
    pub dev_macro_f1: Option<f64>,
}

impl Curves {
    /// Writes `curves.parquet` into `folder`.
    pub fn write(&self, _folder: &Path) -> Result<(), TableError> {
        unimplemented!()
    }

    /// Reads what [`Curves::write`] wrote.
    pub fn read(_folder: &Path) -> Result<Curves, TableError> {
        unimplemented!()
    }
}
