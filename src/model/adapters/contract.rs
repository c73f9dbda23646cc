//! What an adapter is: what it puts into linear layers, and how their weights take it in.

use ndarray::ArrayD;
use serde_json::{Map, Value};

use crate::engine::EngineError;
use crate::model::Weights;
use crate::model::encoders::parts::builder::Adapts;
use crate::model::encoders::parts::module::Module;

/// A kind of adapter with its settings.
pub trait Adapter: Adapts {
    /// Returns the names of the settings that stand for none of these linear layers.
    fn idle(&self, _: &[Module]) -> Vec<String> {
        Vec::new()
    }

    /// Takes the adapter of a linear layer out of the weights, and changes the layer's own so that
    /// it alone gives the same. Computed in double precision.
    ///
    /// # Errors
    ///
    /// Fails where a parameter is missing.
    fn merge(&self, module: &Module, weights: &mut Weights) -> Result<(), EngineError>;

    /// Returns the adapter of a linear layer under the names and in the shapes of `peft`.
    ///
    /// # Errors
    ///
    /// Fails where a parameter is missing.
    fn tensors(
        &self,
        module: &Module,
        weights: &Weights,
    ) -> Result<Vec<(String, ArrayD<f32>)>, EngineError>;

    /// Returns the settings of `peft` that are this kind's own; `modules` are those that it is in,
    /// each with its name there.
    fn settings(&self, modules: &[(String, &Module)]) -> Map<String, Value>;
}

/// Merges an adapter into the weights of all layers that it is in.
///
/// # Errors
///
/// Fails where a parameter is missing.
pub fn merge(
    adapter: &dyn Adapter,
    modules: &[Module],
    weights: &mut Weights,
) -> Result<(), EngineError> {
    for module in modules.iter().filter(|module| adapter.targets(module)) {
        adapter.merge(module, weights)?;
    }
    Ok(())
}

/// Takes a parameter out of the weights.
pub(super) fn take(weights: &mut Weights, name: String) -> Result<ArrayD<f32>, EngineError> {
    weights.remove(&name).ok_or(EngineError::MissingParameter(name))
}

/// Returns a parameter.
pub(super) fn found(weights: &Weights, name: String) -> Result<&ArrayD<f32>, EngineError> {
    weights.get(&name).ok_or(EngineError::MissingParameter(name))
}

/// Returns a parameter that is to be changed.
pub(super) fn changed(
    weights: &mut Weights,
    name: String,
) -> Result<&mut ArrayD<f32>, EngineError> {
    weights.get_mut(&name).ok_or(EngineError::MissingParameter(name))
}
