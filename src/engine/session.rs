//! The `session` backend: loss and gradients as one ordinary session, the optimizer as a second, parameters in bound tensors.

use ort::value::Tensor;

use super::autodiff::gradients;
use super::binding::{Bound, Feed, Parameters, new_tensor, open, zeros};
use super::fact::{Dim, ShapeError};
use super::graph::{DropoutSite, Graph, Kernels, Var};
use super::kernel::dropout;
use super::onnx;
use super::op::GradError;
use super::optimizer::OptimizerConfig;
use super::runtime::Runtime;

/// Something that the engine could not do.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    #[error("ONNX Runtime: {0}")]
    #[diagnostic(help(
        "`pipe runtime` says which library is used; if memory ran out, try half the `batch_size` with twice the `accumulation`"
    ))]
    Runtime(#[from] ort::Error),
    #[error("the model's graph cannot be built: {0}")]
    Shape(#[from] ShapeError),
    #[error("the model's gradients cannot be built: {0}")]
    Grad(#[from] GradError),
    #[error("parameter `{0}` is missing")]
    MissingParameter(String),
    #[error("parameter `{name}` has shape {found:?}; {expected:?} was expected")]
    ParameterShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("the loss does not depend on parameter `{0}`")]
    #[diagnostic(help("freeze it, or leave it out of the patterns of what is trained"))]
    Unreached(String),
    #[error("the graph has no output")]
    NoOutput,
}

/// What one optimizer step gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// The loss of the step's examples.
    pub loss: f32,
    /// The global L2 norm of the gradients before clipping.
    pub gradient_norm: f32,
}

/// Trains a graph.
pub struct SessionTrainer {
    gradient: Bound,
    /// Where accumulation adds a part's gradients to the sum.
    adder: Option<Bound>,
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
        let vars: Vec<Var> = {
            let known: std::collections::BTreeMap<&str, Var> = graph.parameters().collect();
            trainable
                .iter()
                .map(|name| {
                    known
                        .get(name.as_str())
                        .copied()
                        .ok_or_else(|| EngineError::MissingParameter(name.clone()))
                })
                .collect::<Result<_, _>>()?
        };
        let found = gradients(&mut graph, loss, &vars)?;
        let loss = graph.reshape(loss, &[1])?;
        graph.output("loss", loss);
        for (index, (gradient, name)) in found.into_iter().zip(&trainable).enumerate() {
            graph.output(
                &format!("gradient.{index}"),
                gradient.ok_or_else(|| EngineError::Unreached(name.clone()))?,
            );
        }
        let mut gradient = Bound::new(open(runtime, &onnx::write(&graph))?)?;
        gradient.bind_parameters(&graph, &parameters)?;
        let shapes: Vec<Vec<usize>> = vars.iter().map(|&var| graph.known_shape(var)).collect();
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
        update.binding.bind_output("gradient_norm", &mut norm)?;
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

    /// Computes the gradients of one part of a step and adds them to the step's. Returns the part's loss. `dropout_key` decides the masks.
    pub fn accumulate(
        &mut self,
        runtime: &Runtime,
        feeds: Vec<(String, Feed)>,
        dropout_key: i64,
    ) -> Result<f32, EngineError> {
        if self.parts_done == 1 {
            self.prepare_adder(runtime)?;
            bind_outputs(&mut self.gradient, "gradient", &mut self.parts)?;
        }
        for site in &self.sites {
            let shape = site_shape(&site.shape, &feeds);
            let mask = dropout::mask(dropout_key, site.site, site.rate, shape.iter().product());
            self.gradient.feed([(site.input.clone(), Feed::F32(shape, mask))])?;
        }
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

    /// Takes the optimizer step with the gradients that were accumulated.
    pub fn update(&mut self, learning_rate: f64) -> Result<StepOutcome, EngineError> {
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
        Ok(StepOutcome { loss, gradient_norm: self.norm.extract_tensor().1[0] })
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

    /// Calls `visit` with every tensor that a checkpoint holds: the trained parameters and their state, by name.
    pub fn visit_state(&mut self, mut visit: impl FnMut(&str, &mut [f32])) -> Result<(), EngineError> {
        for (index, name) in self.trainable.iter().enumerate() {
            visit(&format!("parameter/{name}"), self.parameters.get_mut(name)?.extract_tensor_mut().1);
            for (place, state) in self.states[index].iter_mut().enumerate() {
                visit(&format!("state.{place}/{name}"), state.extract_tensor_mut().1);
            }
        }
        Ok(())
    }

    /// Sets the number of steps taken, after a checkpoint's tensors were put back.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
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

fn bind_outputs(bound: &mut Bound, name: &str, tensors: &mut [Tensor<f32>]) -> Result<(), EngineError> {
    for (index, tensor) in tensors.iter_mut().enumerate() {
        bound.binding.bind_output(format!("{name}.{index}"), tensor)?;
    }
    Ok(())
}

/// Returns the sizes of a dropout mask, read off the step's own inputs.
fn site_shape(shape: &[Dim], feeds: &[(String, Feed)]) -> Vec<usize> {
    let (batch, length) = feeds
        .iter()
        .find_map(|(name, feed)| match feed {
            Feed::I64(shape, _) if name == "attention_mask" => Some((shape[0], shape[1])),
            _ => None,
        })
        .unwrap_or((1, 1));
    shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Named("B") => batch,
            Dim::Named("L") => length,
            Dim::Named(_) | Dim::Unknown => batch * length,
        })
        .collect()
}
