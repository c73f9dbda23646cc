//! The outputs that a stage reads.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::output::{Output, TrainedModel};
use crate::data::DataSet;

/// The outputs of the stages that a stage names, by field.
#[derive(Clone, Default)]
pub struct Inputs(BTreeMap<&'static str, Arc<dyn Output>>);

impl Inputs {
    /// Adds the output for a field.
    pub fn insert(&mut self, field: &'static str, output: Arc<dyn Output>) {
        self.0.insert(field, output);
    }

    /// Returns the output of a field. The plan was checked, so a missing one or one of another kind
    /// is a mistake in the stage's own code.
    pub fn get<T: Output>(&self, field: &str) -> &T {
        match self.0.get(field) {
            Some(output) => output.as_a(),
            None => unreachable!("the checked plan gives `{field}` what its stage expects"),
        }
    }

    /// Returns the data set of a field; see [`Inputs::get`].
    pub fn data(&self, field: &str) -> &DataSet {
        self.get(field)
    }

    /// Returns the trained model of a field to be kept; see [`Inputs::get`].
    pub fn shared_model(&self, field: &str) -> Arc<TrainedModel> {
        let output =
            self.0.get(field).map(|output| Arc::clone(output) as Arc<dyn Any + Send + Sync>);
        match output.map(Arc::downcast) {
            Some(Ok(model)) => model,
            _ => unreachable!("the checked plan gives `{field}` what its stage expects"),
        }
    }

    /// Returns the trained model of a field; see [`Inputs::get`].
    pub fn model(&self, field: &str) -> &TrainedModel {
        self.get(field)
    }
}
