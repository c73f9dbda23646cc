//! The `session` backend: loss and gradients as one ordinary session, the optimizer as a second, parameters in bound tensors.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use ort::value::Tensor;

use super::binding::{Bound, Feed, Parameters, new_tensor, open, zeros};
use super::error::EngineError;
use super::fact::Dim;
use super::graph::{DropoutSite, Graph, Kernels, Var};
use super::inference::Inference;
use super::onnx;
use super::optimizer::{GRADIENT_NORM, OptimizerConfig};
use super::runtime::Runtime;
use super::trainer::{Part, State, StepOutcome, Trainer, differentiate, dropout_masks};

/// A forward graph over the trained parameters, opened when it is first asked.
enum Evaluation {
    Waiting(Graph),
    Open(Box<Inference>),
}

/// Trains a graph.
pub struct SessionTrainer {
    gradient: Bound,
    /// Where accumulation adds a part's gradients to the sum.
    adder: Option<Bound>,
    evaluation: Option<Evaluation>,
    update: Bound,
    parameters: Parameters,
    trainable: Vec<String>,
    optimizer: OptimizerConfig,
    sums: Vec<Tensor<f32>>,
    /// The gradients of the second and later parts of a step.
    parts: Vec<Tensor<f32>>,
    states: Vec<Vec<Tensor<f32>>>,
    loss: Tensor<f32>,
    norm: Tensor<f32>,
    scalars: Tensor<f32>,
    sites: Vec<DropoutSite>,
    parts_done: u32,
    loss_sum: f64,
    steps: u64,
}

impl SessionTrainer {
    /// Prepares the training of `trainable` (names of the graph's parameters, each with its group in the optimizer) under a scalar loss.
    pub fn new(
        runtime: &Runtime,
        mut graph: Graph,
        loss: Var,
        parameters: Parameters,
        trainable: Vec<String>,
        optimizer: OptimizerConfig,
    ) -> Result<SessionTrainer, EngineError> {
        let kernels = graph.kernels();
        let found = differentiate(&mut graph, loss, &trainable)?;
        let loss = graph.reshape(loss, &[1])?;
        graph.output("loss", loss);
        for (index, (_, gradient)) in found.iter().enumerate() {
            graph.output(&format!("gradient.{index}"), *gradient);
        }
        let mut gradient = Bound::new(open(runtime, &onnx::write(&graph))?)?;
        gradient.bind_parameters(&graph, &parameters)?;
        let shapes: Vec<Vec<usize>> = found.iter().map(|(var, _)| graph.known_shape(*var)).collect();
        let mut sums = shapes.iter().map(|shape| new_tensor(shape)).collect::<Result<Vec<_>, _>>()?;
        let mut states = Vec::new();
        for shape in &shapes {
            states.push((0..optimizer.states()).map(|_| zeros(shape)).collect::<Result<Vec<_>, _>>()?);
        }
        let (mut loss, mut norm, scalars) = (new_tensor(&[1])?, new_tensor(&[1])?, new_tensor(&[3])?);
        gradient.binding.bind_output("loss", &mut loss)?;
        bind_outputs(&mut gradient, "gradient", &mut sums)?;
        let mut parameters = parameters;
        let mut update = Bound::new(open(runtime, &onnx::write(&optimizer.graph(&shapes, kernels)?))?)?;
        update.binding.bind_input("scalars", &scalars)?;
        update.binding.bind_output(GRADIENT_NORM, &mut norm)?;
        for (index, name) in trainable.iter().enumerate() {
            update.binding.bind_input(format!("parameter.{index}"), parameters.get(name)?)?;
            update.binding.bind_output(format!("new_parameter.{index}"), parameters.get_mut(name)?)?;
            update.binding.bind_input(format!("gradient.{index}"), &sums[index])?;
            for (place, state) in states[index].iter_mut().enumerate() {
                update.binding.bind_input(format!("state.{index}.{place}"), state)?;
                update.binding.bind_output(format!("new_state.{index}.{place}"), state)?;
            }
        }
        Ok(SessionTrainer {
            gradient,
            adder: None,
            evaluation: None,
            update,
            parameters,
            trainable,
            optimizer,
            sums,
            parts: Vec::new(),
            states,
            loss,
            norm,
            scalars,
            sites: graph.dropout_sites().to_vec(),
            parts_done: 0,
            loss_sum: 0.0,
            steps: 0,
        })
    }

    /// Gives the forward graph whose first output are the logits; see [`Trainer::logits`].
    pub fn with_evaluation(mut self, graph: Graph) -> SessionTrainer {
        self.evaluation = Some(Evaluation::Waiting(graph));
        self
    }

    /// Returns the parameters; those that are trained change with each update.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the names of the trained parameters.
    pub fn trainable(&self) -> &[String] {
        &self.trainable
    }

    /// Returns the gradient of a trained parameter as of the last [`SessionTrainer::accumulate`].
    pub fn gradient(&self, index: usize) -> ndarray::ArrayD<f32> {
        super::binding::copy_out(&self.sums[index])
    }

    /// Returns the optimizer steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Calls `visit` with the name and the values of every tensor of the state.
    fn visit_state(
        &mut self,
        mut visit: impl FnMut(String, &mut [f32]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (index, name) in self.trainable.iter().enumerate() {
            visit(format!("parameter/{name}"), self.parameters.get_mut(name)?.extract_tensor_mut().1)?;
            for (place, state) in self.states[index].iter_mut().enumerate() {
                visit(format!("state.{place}/{name}"), state.extract_tensor_mut().1)?;
            }
        }
        Ok(())
    }

    fn prepare_adder(&mut self, runtime: &Runtime) -> Result<(), EngineError> {
        if self.adder.is_some() {
            return Ok(());
        }
        let mut graph = Graph::new(Kernels::Standard);
        let mut shapes = Vec::new();
        for (index, sum) in self.sums.iter().enumerate() {
            let shape: Vec<usize> = sum.shape().iter().map(|&size| size as usize).collect();
            let fact = super::fact::TensorFact::f32(shape.iter().map(|&size| Dim::Fixed(size)).collect());
            let (a, b) = (
                graph.input(&format!("sum.{index}"), fact.clone()),
                graph.input(&format!("part.{index}"), fact),
            );
            let total = graph.add(a, b)?;
            graph.output(&format!("total.{index}"), total);
            shapes.push(shape);
        }
        let mut adder = Bound::new(open(runtime, &onnx::write(&graph))?)?;
        self.parts = shapes.iter().map(|shape| new_tensor(shape)).collect::<Result<_, _>>()?;
        for (index, part) in self.parts.iter().enumerate() {
            adder.binding.bind_input(format!("sum.{index}"), &self.sums[index])?;
            adder.binding.bind_input(format!("part.{index}"), part)?;
        }
        bind_outputs(&mut adder, "total", &mut self.sums)?;
        self.adder = Some(adder);
        Ok(())
    }
}

impl Trainer for SessionTrainer {
    fn accumulate(
        &mut self,
        runtime: &Runtime,
        feeds: Vec<(String, Feed)>,
        Part { dropout_key, .. }: Part,
    ) -> Result<f32, EngineError> {
        if self.parts_done == 1 {
            self.prepare_adder(runtime)?;
            bind_outputs(&mut self.gradient, "gradient", &mut self.parts)?;
        }
        self.gradient.feed(dropout_masks(&self.sites, &feeds, dropout_key))?;
        self.gradient.feed(feeds)?;
        self.gradient.feed([("dropout_key".to_owned(), Feed::I64(vec![1], vec![dropout_key]))])?;
        self.gradient.run()?;
        if self.parts_done > 0
            && let Some(adder) = &mut self.adder
        {
            adder.run()?;
        }
        self.parts_done += 1;
        let loss = self.loss.extract_tensor().1[0];
        self.loss_sum += f64::from(loss);
        Ok(loss)
    }

    fn update(&mut self, learning_rate: f64) -> Result<StepOutcome, EngineError> {
        self.steps += 1;
        self.scalars
            .extract_tensor_mut()
            .1
            .copy_from_slice(&self.optimizer.scalars(learning_rate, self.steps));
        self.update.run()?;
        if self.parts_done > 1 {
            bind_outputs(&mut self.gradient, "gradient", &mut self.sums)?;
        }
        self.parts_done = 0;
        let loss = std::mem::take(&mut self.loss_sum) as f32;
        Ok(StepOutcome { loss, gradient_norm: Some(self.norm.extract_tensor().1[0]) })
    }

    fn logits(&mut self, runtime: &Runtime, feeds: Vec<(String, Feed)>) -> Result<ArrayD<f32>, EngineError> {
        let mut inference = match self.evaluation.take().ok_or(EngineError::NoOutput)? {
            Evaluation::Open(inference) => inference,
            Evaluation::Waiting(graph) => Box::new(Inference::new(runtime, &graph, &self.parameters)?),
        };
        let logits = inference.run(feeds);
        self.evaluation = Some(Evaluation::Open(inference));
        logits
    }

    fn trained(&self) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
        self.trainable.iter().map(|name| Ok((name.clone(), self.parameters.copy(name)?))).collect()
    }

    fn state(&mut self) -> Result<State, EngineError> {
        let mut state = State::new();
        self.visit_state(|name, values| {
            state.insert(name, values.to_vec());
            Ok(())
        })?;
        Ok(state)
    }

    fn restore(&mut self, _: &Runtime, state: &State, steps: u64) -> Result<(), EngineError> {
        self.steps = steps;
        self.visit_state(|name, values| {
            let old = state.get(&name).ok_or_else(|| EngineError::MissingParameter(name.clone()))?;
            if old.len() != values.len() {
                let (expected, found) = (vec![values.len()], vec![old.len()]);
                return Err(EngineError::ParameterShape { name, expected, found });
            }
            values.copy_from_slice(old);
            Ok(())
        })
    }
}

fn bind_outputs(bound: &mut Bound, name: &str, tensors: &mut [Tensor<f32>]) -> Result<(), EngineError> {
    for (index, tensor) in tensors.iter_mut().enumerate() {
        bound.binding.bind_output(format!("{name}.{index}"), tensor)?;
    }
    Ok(())
}
