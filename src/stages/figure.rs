//! The figures by which the trials of a sweep are judged: one number of one stage.

use std::path::Path;

use super::contract::error::StageError;
use super::train::objective::DevMetric;
use crate::data::Scored;
use crate::metrics;

/// The prefix of the names of a training's figures.
pub const DEV: &str = "dev_";

/// The figures that a stage gives.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The split that they are of.
    pub split: Scored,
    /// Their names, those of single classes left out.
    pub names: Vec<&'static str>,
    /// Whether metrics of single classes are figures too. The classes are not known before the data
    /// is read.
    pub of_classes: bool,
    /// Reads a figure from the folder of the stage's output; `None` where it is undefined.
    pub read: fn(&Path, &str) -> Result<Option<f64>, StageError>,
}

impl Figures {
    /// Says whether the stage gives a figure of this name.
    pub fn has(&self, name: &str) -> bool {
        let is_of_a_class = self.of_classes && metrics::find_of_class(name).is_some();
        self.names.contains(&name) || is_of_a_class
    }
}

/// Says whether less of a figure is better.
pub fn less_is_better(name: &str) -> bool {
    let of_dev = name.strip_prefix(DEV).and_then(DevMetric::named);
    of_dev.map_or_else(|| metrics::less_is_better(name), DevMetric::less_is_better)
}
