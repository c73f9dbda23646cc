//! The outputs that a stage reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::artifact::{Artifact, TrainedModel};
use crate::data::DataSet;

/// The outputs of the stages that a stage names, by field.
#[derive(Clone, Default)]
pub struct Inputs(BTreeMap<&'static str, Arc<Artifact>>);

impl Inputs {
    /// Adds the artifact for a field.
    pub fn insert(&mut self, field: &'static str, artifact: Arc<Artifact>) {
        self.0.insert(field, artifact);
    }

    /// Returns the data set of a field. The plan was checked, so a missing one is a mistake in the
    /// stage's own code.
    pub fn data(&self, field: &str) -> &DataSet {
        match self.0.get(field).map(Arc::as_ref) {
            Some(Artifact::Data(data)) => data,
            _ => unreachable!("the checked plan gives `{field}` a data set"),
        }
    }

    /// Returns the trained model of a field; see [`Inputs::data`].
    pub fn model(&self, field: &str) -> &TrainedModel {
        match self.0.get(field).map(Arc::as_ref) {
            Some(Artifact::Model(model)) => model,
            _ => unreachable!("the checked plan gives `{field}` a model"),
        }
    }
}
