//! The `session` backend: loss and gradients as one ordinary session, the optimizer as a second,
//! parameters in bound tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use ort::value::Tensor;

use super::binding::{Bound, Feed, Parameters, open, open_profiled};
use super::error::EngineError;
use super::gradients::{differentiate, dropout_masks};
use super::inference::Inference;
use super::place::{Place, sizes};
use super::trainer::{Part, State, StepOutcome, Trainer};
use crate::engine::graph::fact::Dim;
use crate::engine::graph::graph::{DropoutSite, Graph, Kernels, Var};
use crate::engine::graph::loss_scale::{LossScaling, NEW_SCALER, SCALER, is_finite};
use crate::engine::graph::lower::lower;
use crate::engine::graph::optimizer::config::{CORRECTIONS, LEARNING_RATES, anchor};
use crate::engine::graph::optimizer::{GRADIENT_NORM, OptimizerConfig};
use crate::engine::onnx;
use crate::engine::runtime::device::Precision;
use crate::engine::runtime::runtime::Runtime;

/// A forward graph over the trained parameters, opened when it is first asked.
enum Evaluation {
    Waiting(Graph),
    Open(Box<Inference>),
}

/// Trains a graph.
pub struct SessionTrainer {
    place: Place,
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
    /// The first values of the parameters that are pulled towards them: only the update reads them.
    _anchors: Vec<Tensor<f32>>,
    scaler: Option<Scaler>,
    learning_rates: Tensor<f32>,
    /// What the host computes of a step's number, where the update wants it.
    corrections: Option<Tensor<f32>>,
    sites: Vec<DropoutSite>,
    log: Log,
    steps: u64,
    /// Whether memory is to be spared. What the gradients' session lays hold of is most of it.
    is_short: bool,
}

/// The state of loss scaling: what was, and what an update writes.
struct Scaler {
    now: Tensor<f32>,
    next: Tensor<f32>,
}

/// What steps gave, where the device left it: reading it makes the host wait.
#[derive(Default)]
struct Log {
    /// The losses of the step that is not taken yet.
    losses: Vec<Tensor<f32>>,
    /// The losses and the gradients' norm of each step.
    steps: Vec<(Vec<Tensor<f32>>, Tensor<f32>)>,
    spare: Vec<Tensor<f32>>,
}

impl Log {
    /// Returns a tensor `[1]` to be written to.
    fn blank(&mut self, place: Place) -> Result<Tensor<f32>, EngineError> {
        self.spare.pop().map_or_else(|| place.tensor(&[1]), Ok)
    }
}

/// What of a graph is trained, and how.
pub struct Recipe {
    /// A scalar.
    pub loss: Var,
    /// Names of the graph's parameters, each in a group of the optimizer.
    pub trainable: Vec<String>,
    pub optimizer: OptimizerConfig,
    pub precision: Precision,
}

/// What the two sessions run.
pub(crate) struct Graphs {
    /// Losses and gradients.
    pub gradient: Graph,
    pub update: Graph,
    /// The shape of each trained parameter.
    shapes: Vec<Vec<usize>>,
    scaling: Option<LossScaling>,
}

impl Graphs {
    /// Differentiates a graph and writes the optimizer's, as a place wants them.
    pub(crate) fn new(
        mut graph: Graph,
        recipe: &Recipe,
        place: Place,
    ) -> Result<Graphs, EngineError> {
        let scaling = recipe.precision.scales_loss().then(LossScaling::default);
        let loss = match scaling {
            Some(_) => LossScaling::scale(&mut graph, recipe.loss)?,
            None => recipe.loss,
        };
        let found = differentiate(&mut graph, loss, &recipe.trainable)?;
        let loss = graph.reshape(recipe.loss, &[1])?;
        graph.output("loss", loss);
        for (index, (_, gradient)) in found.iter().enumerate() {
            graph.output(&format!("gradient.{index}"), *gradient);
        }
        let shapes: Vec<Vec<usize>> =
            found.iter().map(|(var, _)| graph.known_shape(*var)).collect();
        let named: Vec<(String, Vec<usize>)> =
            recipe.trainable.iter().cloned().zip(shapes.iter().cloned()).collect();
        let update = recipe.optimizer.graph(&named, graph.kernels(), scaling.as_ref())?;
        let gradient = match recipe.precision.of_products() {
            Some(low) => lower(graph, low, place.products()),
            None => graph,
        };
        Ok(Graphs { gradient, update, shapes, scaling })
    }
}

impl SessionTrainer {
    /// Prepares the training of a graph where its parameters lie.
    pub fn new(
        runtime: &Runtime,
        graph: Graph,
        parameters: Parameters,
        recipe: Recipe,
    ) -> Result<SessionTrainer, EngineError> {
        SessionTrainer::profiled(runtime, graph, parameters, recipe, None)
    }

    /// Prepares as [`SessionTrainer::new`] does; the sessions write what they spend their time with
    /// into a folder, until [`SessionTrainer::end_profiles`].
    pub fn profiled(
        runtime: &Runtime,
        graph: Graph,
        mut parameters: Parameters,
        recipe: Recipe,
        profiles: Option<&Path>,
    ) -> Result<SessionTrainer, EngineError> {
        let place = parameters.place();
        let Graphs { gradient: graph, update, shapes, scaling } =
            Graphs::new(graph, &recipe, place)?;
        let Recipe { trainable, optimizer, precision, .. } = recipe;
        let groups = optimizer.groups.len();
        let open = |graph: &Graph, name: &str| {
            let profile = profiles.map(|folder| folder.join(name));
            open_profiled(runtime, place, precision, &onnx::write(graph), profile.as_deref())
        };
        let mut gradient = Bound::new(open(&graph, "gradient")?)?;
        gradient.bind_parameters(&graph, &parameters)?;
        let mut sums =
            shapes.iter().map(|shape| place.tensor(shape)).collect::<Result<Vec<_>, _>>()?;
        let mut states = Vec::new();
        for shape in &shapes {
            states.push(
                (0..optimizer.update.states())
                    .map(|_| place.zeros(shape))
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
        bind_outputs(&mut gradient, "gradient", &mut sums)?;
        let mut update = Bound::new(open(&update, "update")?)?;
        let mut anchors = Vec::new();
        for (index, name) in trainable.iter().enumerate() {
            anchors.extend(bind_anchor(&mut update, index, parameters.get(name)?, place)?);
            update.binding.bind_input(format!("parameter.{index}"), parameters.get(name)?)?;
            update
                .binding
                .bind_output(format!("new_parameter.{index}"), parameters.get_mut(name)?)?;
            update.binding.bind_input(format!("gradient.{index}"), &sums[index])?;
            for (at, state) in states[index].iter_mut().enumerate() {
                update.binding.bind_input(format!("state.{index}.{at}"), state)?;
                update.binding.bind_output(format!("new_state.{index}.{at}"), state)?;
            }
        }
        let scaler = match &scaling {
            Some(scaling) => {
                let now = place.hold(&[3], &scaling.state())?;
                Some(Scaler { now, next: place.tensor(&[3])? })
            }
            None => None,
        };
        let corrections = match update.has_input(CORRECTIONS) {
            true => Some(Place::Host.tensor(&[optimizer.update.corrections(1).len()])?),
            false => None,
        };
        let mut trainer = SessionTrainer {
            place,
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
            _anchors: anchors,
            scaler,
            learning_rates: Place::Host.tensor(&[groups])?,
            corrections,
            sites: graph.dropout_sites().to_vec(),
            log: Log::default(),
            steps: 0,
            is_short: false,
        };
        trainer.bind_scaler()?;
        Ok(trainer)
    }

    /// Gives the forward graph whose first output are the logits; see [`Trainer::logits`].
    pub fn with_evaluation(mut self, graph: Graph) -> SessionTrainer {
        self.evaluation = Some(Evaluation::Waiting(graph));
        self
    }

    /// Ends the profiles and returns their files: of the gradients' session and of the update's.
    pub fn end_profiles(&mut self) -> Result<[PathBuf; 2], EngineError> {
        Ok([self.gradient.end_profile()?, self.update.end_profile()?])
    }

    /// Returns the parameters; those that are trained change with each update.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the names of the trained parameters.
    pub fn trainable(&self) -> &[String] {
        &self.trainable
    }

    /// Returns the gradient of a trained parameter as of the last [`SessionTrainer::accumulate`],
    /// times the scale of the loss.
    pub fn gradient(&self, index: usize) -> Result<ArrayD<f32>, EngineError> {
        self.place.read(&self.sums[index])
    }

    /// Returns the optimizer steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Calls `visit` with the name of every tensor of the state.
    fn visit_state(
        &mut self,
        mut visit: impl FnMut(String, &mut Tensor<f32>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (index, name) in self.trainable.iter().enumerate() {
            visit(format!("parameter/{name}"), self.parameters.get_mut(name)?)?;
            for (at, state) in self.states[index].iter_mut().enumerate() {
                visit(format!("state.{at}/{name}"), state)?;
            }
        }
        match &mut self.scaler {
            Some(scaler) => visit(SCALER.to_owned(), &mut scaler.now),
            None => Ok(()),
        }
    }

    /// Lets the sessions read the state of loss scaling as it is, and write the next beside it: the
    /// update reads it in several places.
    fn bind_scaler(&mut self) -> Result<(), EngineError> {
        if let Some(scaler) = &mut self.scaler {
            self.gradient.binding.bind_input(SCALER, &scaler.now)?;
            self.update.binding.bind_input(SCALER, &scaler.now)?;
            self.update.binding.bind_output(NEW_SCALER, &mut scaler.next)?;
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
            let shape = sizes(sum);
            let fact = crate::engine::graph::fact::TensorFact::f32(
                shape.iter().map(|&size| Dim::Fixed(size)).collect(),
            );
            let (a, b) = (
                graph.input(&format!("sum.{index}"), fact.clone()),
                graph.input(&format!("part.{index}"), fact),
            );
            let total = graph.add(a, b)?;
            graph.output(&format!("total.{index}"), total);
            shapes.push(shape);
        }
        let mut adder =
            Bound::new(open(runtime, self.place, Precision::Fp32, &onnx::write(&graph))?)?;
        self.parts =
            shapes.iter().map(|shape| self.place.tensor(shape)).collect::<Result<_, _>>()?;
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
        Part { dropout_key, last }: Part,
    ) -> Result<(), EngineError> {
        let parts_done = self.log.losses.len();
        if parts_done == 1 {
            self.prepare_adder(runtime)?;
            bind_outputs(&mut self.gradient, "gradient", &mut self.parts)?;
        }
        let mut loss = self.log.blank(self.place)?;
        self.gradient.binding.bind_output("loss", &mut loss)?;
        self.gradient.feed(dropout_masks(&self.sites, &feeds, dropout_key))?;
        self.gradient.feed(feeds)?;
        self.gradient.feed([("dropout_key".to_owned(), Feed::I64(vec![1], vec![dropout_key]))])?;
        if self.is_short && (last || self.adder.is_none()) {
            self.gradient.run_and_free(self.place)?;
        } else {
            self.gradient.run()?;
        }
        if parts_done > 0
            && let Some(adder) = &mut self.adder
        {
            adder.run()?;
        }
        self.log.losses.push(loss);
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), EngineError> {
        let losses = std::mem::take(&mut self.log.losses);
        self.log.spare.extend(losses);
        bind_outputs(&mut self.gradient, "gradient", &mut self.sums)
    }

    fn spare_memory(&mut self) {
        self.is_short = true;
    }

    fn update(&mut self, learning_rates: &[f64]) -> Result<(), EngineError> {
        if learning_rates.len() != self.groups() {
            return Err(EngineError::ParameterShape {
                name: LEARNING_RATES.to_owned(),
                expected: vec![self.groups()],
                found: vec![learning_rates.len()],
            });
        }
        self.steps += 1;
        let rates = self.learning_rates.extract_tensor_mut().1;
        for (place, &rate) in rates.iter_mut().zip(learning_rates) {
            *place = rate as f32;
        }
        // Binding copies to where the session runs.
        self.update.binding.bind_input(LEARNING_RATES, &self.learning_rates)?;
        if let Some(corrections) = &mut self.corrections {
            let values = self.optimizer.update.corrections(self.steps);
            corrections.extract_tensor_mut().1.copy_from_slice(&values);
            self.update.binding.bind_input(CORRECTIONS, corrections)?;
        }
        let mut norm = self.log.blank(self.place)?;
        self.update.binding.bind_output(GRADIENT_NORM, &mut norm)?;
        self.update.run()?;
        let losses = std::mem::take(&mut self.log.losses);
        if losses.len() > 1 {
            bind_outputs(&mut self.gradient, "gradient", &mut self.sums)?;
        }
        self.log.steps.push((losses, norm));
        if let Some(scaler) = &mut self.scaler {
            std::mem::swap(&mut scaler.now, &mut scaler.next);
            self.bind_scaler()?;
        }
        Ok(())
    }

    fn groups(&self) -> usize {
        self.optimizer.groups.len()
    }

    fn outcomes(&mut self) -> Result<Vec<StepOutcome>, EngineError> {
        let mut outcomes = Vec::new();
        for (losses, norm) in std::mem::take(&mut self.log.steps) {
            let gradient_norm = self.place.read_first(&norm)?;
            outcomes.push(StepOutcome {
                losses: losses
                    .iter()
                    .map(|loss| self.place.read_first(loss))
                    .collect::<Result<_, _>>()?,
                gradient_norm: Some(gradient_norm),
                skipped: self.scaler.is_some() && !is_finite(gradient_norm),
            });
            self.log.spare.extend(losses);
            self.log.spare.push(norm);
        }
        Ok(outcomes)
    }

    fn lag(&self) -> usize {
        self.place.lag()
    }

    fn logits(
        &mut self,
        runtime: &Runtime,
        feeds: Vec<(String, Feed)>,
    ) -> Result<ArrayD<f32>, EngineError> {
        let mut inference = match self.evaluation.take().ok_or(EngineError::NoOutput)? {
            Evaluation::Open(inference) => inference,
            Evaluation::Waiting(graph) => {
                Box::new(Inference::new(runtime, &graph, &self.parameters)?)
            }
        };
        let logits = inference.run(feeds);
        self.evaluation = Some(Evaluation::Open(inference));
        logits
    }

    fn trained(&self) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
        self.trainable.iter().map(|name| Ok((name.clone(), self.parameters.copy(name)?))).collect()
    }

    /// Copies nothing on the host.
    fn visit_trained(&self, visit: &mut dyn FnMut(&str, &[f32])) -> Result<(), EngineError> {
        for name in &self.trainable {
            let tensor = self.parameters.get(name)?;
            match self.place {
                Place::Host => visit(name, tensor.extract_tensor().1),
                Place::Gpu(_) => {
                    let copy = self.place.read(tensor)?;
                    visit(name, copy.as_slice().unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<State, EngineError> {
        let (mut state, place) = (State::new(), self.place);
        self.visit_state(|name, tensor| {
            state.insert(name, place.read(tensor)?.into_iter().collect());
            Ok(())
        })?;
        Ok(state)
    }

    fn restore(&mut self, _: &Runtime, state: &State, steps: u64) -> Result<(), EngineError> {
        self.steps = steps;
        let place = self.place;
        self.visit_state(|name, tensor| {
            let old =
                state.get(&name).ok_or_else(|| EngineError::MissingParameter(name.clone()))?;
            let length = sizes(tensor).iter().product();
            if old.len() != length {
                let (expected, found) = (vec![length], vec![old.len()]);
                return Err(EngineError::ParameterShape { name, expected, found });
            }
            place.overwrite(tensor, old)
        })
    }
}

/// Gives the update a parameter's value as it is now, where it pulls towards it.
fn bind_anchor(
    update: &mut Bound,
    index: usize,
    parameter: &Tensor<f32>,
    place: Place,
) -> Result<Option<Tensor<f32>>, EngineError> {
    let name = anchor(index);
    if !update.has_input(&name) {
        return Ok(None);
    }
    let first = place.hold(&sizes(parameter), &place.read(parameter)?)?;
    update.binding.bind_input(name, &first)?;
    Ok(Some(first))
}

fn bind_outputs(
    bound: &mut Bound,
    name: &str,
    tensors: &mut [Tensor<f32>],
) -> Result<(), EngineError> {
    for (index, tensor) in tensors.iter_mut().enumerate() {
        bound.binding.bind_output(format!("{name}.{index}"), tensor)?;
    }
    Ok(())
}
