//! Tensors that stay where they are, and sessions bound to them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ndarray::ArrayD;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{DynValue, Tensor};

use super::error::EngineError;
use super::place::{Place, sizes};
use crate::engine::graph::graph::Graph;
use crate::engine::graph::packing::PackingNames;
use crate::engine::kernel::register;
use crate::engine::runtime::device::Precision;
use crate::engine::runtime::runtime::Runtime;

/// Model parameters in ONNX Runtime's memory; sessions that are bound to them see every change.
pub struct Parameters {
    place: Place,
    tensors: BTreeMap<String, Tensor<f32>>,
}

impl Parameters {
    /// Copies weights into new tensors.
    pub fn new<'a>(
        place: Place,
        weights: impl IntoIterator<Item = (&'a str, &'a ArrayD<f32>)>,
    ) -> Result<Parameters, EngineError> {
        let hold = |(name, array): (&str, &ArrayD<f32>)| {
            Ok((name.to_owned(), place.hold(array.shape(), &*numbers(array))?))
        };
        let tensors = weights.into_iter().map(hold).collect::<Result<_, EngineError>>()?;
        Ok(Parameters { place, tensors })
    }

    /// Copies one more array into a new tensor.
    pub fn add(&mut self, name: &str, array: &ArrayD<f32>) -> Result<(), EngineError> {
        let tensor = self.place.hold(array.shape(), &*numbers(array))?;
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    /// Returns where they lie.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns a parameter.
    pub fn get(&self, name: &str) -> Result<&Tensor<f32>, EngineError> {
        self.tensors.get(name).ok_or_else(|| EngineError::MissingParameter(name.to_owned()))
    }

    /// Returns a parameter to be written to.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Tensor<f32>, EngineError> {
        self.tensors.get_mut(name).ok_or_else(|| EngineError::MissingParameter(name.to_owned()))
    }

    /// Overwrites a parameter.
    pub fn set(&mut self, name: &str, array: &ArrayD<f32>) -> Result<(), EngineError> {
        let place = self.place;
        let tensor = self.get_mut(name)?;
        same_shape(name, &sizes(tensor), array.shape())?;
        place.overwrite(tensor, &*numbers(array))
    }

    /// Returns a copy of a parameter.
    pub fn copy(&self, name: &str) -> Result<ArrayD<f32>, EngineError> {
        self.place.read(self.get(name)?)
    }

    /// Lists the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

/// Returns the numbers of an array in their order, which go much faster from a slice than one by
/// one by their places.
fn numbers(array: &ArrayD<f32>) -> Cow<'_, [f32]> {
    match array.as_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

fn same_shape(name: &str, expected: &[usize], found: &[usize]) -> Result<(), EngineError> {
    if found == expected {
        return Ok(());
    }
    Err(EngineError::ParameterShape {
        name: name.to_owned(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}

/// A tensor that is given anew at each run.
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    F32(Vec<usize>, Vec<f32>),
    I64(Vec<usize>, Vec<i64>),
}

impl Feed {
    /// Returns the tensor's sizes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Feed::F32(shape, _) | Feed::I64(shape, _) => shape,
        }
    }

    pub(in crate::engine) fn into_value(self) -> Result<DynValue, EngineError> {
        Ok(match self {
            Feed::F32(shape, data) => Tensor::from_array((shape, data))?.into_dyn(),
            Feed::I64(shape, data) => Tensor::from_array((shape, data))?.into_dyn(),
        })
    }
}

/// Returns the inputs by which the rows of tokens and the places of a mask `[B, L]` belong
/// together.
pub fn packing_of(mask: &[i64], names: &PackingNames) -> [(String, Feed); 2] {
    let tokens: Vec<i64> =
        mask.iter().zip(0..).filter(|(shows, _)| **shows != 0).map(|(_, place)| place).collect();
    let mut rows = 0..;
    let row = |shows: &i64| if *shows == 0 { 0 } else { rows.next().unwrap_or_default() };
    let places: Vec<i64> = mask.iter().map(row).collect();
    [(names.tokens, tokens), (names.places, places)]
        .map(|(name, values)| (name.to_owned(), Feed::I64(vec![values.len()], values)))
}

/// ONNX Runtime keeps one list of custom domains, and two sessions that enter theirs at the same
/// time make it fail.
pub(in crate::engine) static OPENING: Mutex<()> = Mutex::new(());

/// Opens a session over a model that we wrote.
pub(in crate::engine) fn open(
    runtime: &Runtime,
    place: Place,
    precision: Precision,
    model: &[u8],
) -> Result<Session, EngineError> {
    open_profiled(runtime, place, precision, model, None)
}

/// Opens a session as [`open`] does, which writes what it spends its time with to a file whose path
/// begins so.
pub(in crate::engine) fn open_profiled(
    runtime: &Runtime,
    place: Place,
    precision: Precision,
    model: &[u8],
    profile: Option<&Path>,
) -> Result<Session, EngineError> {
    let _turn = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let builder = Session::builder(&runtime.environment)?;
    let builder =
        builder.with_optimization_level(GraphOptimizationLevel::All).map_err(ort::Error::from)?;
    // Shapes change from batch to batch, so a pattern of allocations planned ahead would be of no
    // use.
    let builder = builder.with_memory_pattern(false).map_err(ort::Error::from)?;
    // On a GPU that would ask for cuDNN's reductions, which are slow and want cuDNN; its sums are
    // not repeatable anyway.
    let is_repeatable = place == Place::Host;
    let builder = builder.with_deterministic_compute(is_repeatable).map_err(ort::Error::from)?;
    let builder = builder.with_operators(register::domain()?).map_err(ort::Error::from)?;
    let mut builder =
        builder.with_execution_providers(place.providers(precision)).map_err(ort::Error::from)?;
    if let Some(profile) = profile {
        builder = builder.with_profiling(profile).map_err(ort::Error::from)?;
    }
    Ok(builder.commit_from_memory(model)?)
}

/// A session with its binding.
pub(in crate::engine) struct Bound {
    session: Session,
    pub binding: IoBinding,
}

impl Bound {
    pub(in crate::engine) fn new(session: Session) -> Result<Bound, EngineError> {
        let binding = session.create_binding()?;
        Ok(Bound { session, binding })
    }

    /// Ends the session's profile and returns its file.
    pub(in crate::engine) fn end_profile(&mut self) -> Result<PathBuf, EngineError> {
        Ok(PathBuf::from(self.session.end_profiling()?))
    }

    /// Returns whether the session's graph has an input of this name.
    pub(in crate::engine) fn has_input(&self, name: &str) -> bool {
        self.session.inputs().iter().any(|input| input.name() == name)
    }

    /// Binds the parameters that the session's graph, written from `graph`, has.
    pub(in crate::engine) fn bind_parameters(
        &mut self,
        graph: &Graph,
        parameters: &Parameters,
    ) -> Result<(), EngineError> {
        for (name, var) in graph
            .parameters()
            .filter(|(name, _)| self.session.inputs().iter().any(|input| input.name() == *name))
        {
            let tensor = parameters.get(name)?;
            same_shape(name, &graph.known_shape(var), &sizes(tensor))?;
            self.binding.bind_input(name, tensor)?;
        }
        Ok(())
    }

    /// Binds what changes from run to run; names that the graph does not have are left out.
    pub(in crate::engine) fn feed(
        &mut self,
        feeds: impl IntoIterator<Item = (String, Feed)>,
    ) -> Result<(), EngineError> {
        for (name, feed) in feeds {
            if self.has_input(&name) {
                self.binding.bind_input(name, &feed.into_value()?)?;
            }
        }
        Ok(())
    }

    /// Runs the session as [`Bound::run`] does, and gives back to the device what memory the
    /// session keeps for its next run.
    pub(in crate::engine) fn run_and_free(&mut self, place: Place) -> Result<(), EngineError> {
        let mut options = RunOptions::new()?;
        options.set("memory.enable_memory_arena_shrinkage", place.arena())?;
        let ran = self.session.run_binding_with_options(&self.binding, &options);
        match ran.map(|_| ()).map_err(EngineError::from) {
            // Where ONNX Runtime keeps no such memory it refuses to give it back, before it runs.
            Err(error) if !error.is_out_of_memory() => self.run().map(|_| ()),
            done => done,
        }
    }

    /// Runs the session; bound outputs hold the results.
    pub(in crate::engine) fn run(
        &mut self,
    ) -> Result<ort::session::SessionOutputs<'_>, EngineError> {
        Ok(self.session.run_binding(&self.binding)?)
    }
}
