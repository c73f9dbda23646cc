//! Running a graph forward over parameters that stay where they are.

use ndarray::ArrayD;
use ort::memory::Allocator;

use super::binding::{Bound, Feed, Parameters, open};
use super::error::EngineError;
use super::place::Place;
use crate::engine::graph::graph::Graph;
use crate::engine::onnx;
use crate::engine::runtime::device::Precision;
use crate::engine::runtime::runtime::Runtime;

/// A session over a graph without gradients.
pub struct Inference {
    bound: Bound,
    output: String,
}

impl Inference {
    /// Opens a session where the parameters lie, which sees their changes. The graph must have one
    /// output.
    pub fn new(
        runtime: &Runtime,
        graph: &Graph,
        parameters: &Parameters,
    ) -> Result<Inference, EngineError> {
        let output =
            graph.outputs.first().map(|(name, _)| name.clone()).ok_or(EngineError::NoOutput)?;
        let mut bound =
            Bound::new(open(runtime, parameters.place(), Precision::Fp32, &onnx::write(graph))?)?;
        bound.bind_parameters(graph, parameters)?;
        Ok(Inference { bound, output })
    }

    /// Opens a session over a model that holds its parameters.
    pub fn of_model(
        runtime: &Runtime,
        place: Place,
        model: &[u8],
        output: &str,
    ) -> Result<Inference, EngineError> {
        let session = open(runtime, place, Precision::Fp32, model)?;
        Ok(Inference { bound: Bound::new(session)?, output: output.to_owned() })
    }

    /// Runs the graph and returns its output.
    pub fn run(
        &mut self,
        feeds: impl IntoIterator<Item = (String, Feed)>,
    ) -> Result<ArrayD<f32>, EngineError> {
        self.bound.feed(feeds)?;
        // Bound anew at each run: a later one would be held to the shape of the first.
        let output = self.output.clone();
        self.bound.binding.bind_output_to_device(&output, Allocator::default().memory_info())?;
        let outputs = self.bound.run()?;
        Ok(outputs[output.as_str()].try_extract_array::<f32>()?.to_owned())
    }
}
