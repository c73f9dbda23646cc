//! The metrics of predictions, each in its own file with its definition.
//!
//! K is the number of declared classes, N the number of rows. A metric that is undefined for the
//! rows is absent, never NaN.

pub mod metric;
pub mod registry;
pub mod row;
pub mod all;
pub mod confusion;
pub mod counts;
pub mod ranking;
pub mod binned;
pub mod accuracy;
pub mod f1;
pub mod mcc;
pub mod kappa;
pub mod roc_auc;
pub mod nll;
pub mod brier;
pub mod calibration;
pub mod weighted;

pub use all::all;
pub use confusion::Confusion;
pub use counts::Counts;
pub use metric::{Goal, Metric};
pub use registry::{
    MAIN, METRICS, find, find_of_class, less_is_better, main_metrics, names, range,
    reads_probabilities,
};
pub use row::{Row, argmax};
pub use weighted::Weighted;
