//! Expected and maximum calibration error.

use super::metric::{Goal, Metric, Of};

/// The expected calibration error over 15 bins (lo, hi] of the predicted class's probability (Guo
/// et al. 2017, eq. 3): the mean over bins, weighted by rows, of |accuracy − mean confidence|.
pub static ECE: Metric = Metric {
    name: "ece",
    goal: Goal::Minimize,
    range: (0.0, 1.0),
    of: Of::Bins(|bins, weight| bins.errors(weight).0),
};

/// The maximum calibration error (Guo et al. 2017, eq. 5): the largest |accuracy − mean confidence|
/// of a bin that is not empty.
pub static MCE: Metric = Metric {
    name: "mce",
    goal: Goal::Minimize,
    range: (0.0, 1.0),
    of: Of::Bins(|bins, weight| bins.errors(weight).1),
};
