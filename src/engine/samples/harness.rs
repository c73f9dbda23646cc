//! A sample of an operator, and how it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ndarray::{ArrayD, IxDyn};
use ort::memory::Allocator;

use super::reference::Real;
use crate::engine::backend::binding::{Bound, Feed, open};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::place::Place;
use crate::engine::graph::autodiff::gradients;
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Kernels, Var};
use crate::engine::graph::op::{GradError, OpNode};
use crate::engine::kernel::dropout;
use crate::engine::onnx;
use crate::engine::runtime::device::Precision;
use crate::engine::runtime::runtime::Runtime;

/// The dropout key that every sample is run with.
pub const KEY: i64 = 77;
/// Elements whose derivative is taken one by one; all of them together are checked along one
/// direction.
const PROBED: usize = 16;
const STEP: f64 = 1e-5;

/// Deterministic numbers, each exact in single precision.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// SplitMix64 (Steele et al. 2014).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        f64::from((low + (high - low) * unit) as f32)
    }

    pub fn real(&mut self, shape: &[usize]) -> Real {
        self.in_range(shape, -1.5, 1.5)
    }

    pub fn in_range(&mut self, shape: &[usize], low: f64, high: f64) -> Real {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || self.between(low, high))
    }

    /// Numbers of either sign that keep away from 0.
    pub fn off_zero(&mut self, shape: &[usize]) -> Real {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            let size = self.between(0.3, 2.0);
            if self.bits().is_multiple_of(2) { size } else { -size }
        })
    }
}

/// What a sample's graph is given.
#[derive(Clone)]
pub struct Input {
    values: Real,
    dtype: DType,
    dims: Vec<Dim>,
}

impl Input {
    pub fn real(values: Real) -> Input {
        let dims = values.shape().iter().map(|&size| Dim::Fixed(size)).collect();
        Input { values, dtype: DType::F32, dims }
    }

    pub fn ints(shape: &[usize], values: &[i64]) -> Input {
        let values: Vec<f64> = values.iter().map(|&value| value as f64).collect();
        let values =
            ArrayD::from_shape_vec(IxDyn(shape), values).expect("the sample's sizes go together");
        Input { dtype: DType::I64, ..Input::real(values) }
    }

    /// Declares a size as known to the run only.
    pub fn named(mut self, axis: usize, name: &'static str) -> Input {
        self.dims[axis] = Dim::Named(name);
        self
    }

    fn feed(&self) -> Feed {
        let shape = self.values.shape().to_vec();
        match self.dtype {
            DType::I64 => Feed::I64(shape, self.values.iter().map(|&value| value as i64).collect()),
            _ => Feed::F32(shape, self.values.iter().map(|&value| value as f32).collect()),
        }
    }
}

type Build = Box<dyn Fn(&mut Graph, &[Var]) -> Result<Var, ShapeError>>;
type Reference = Box<dyn Fn(&[Real]) -> Real>;

/// An operator at work on inputs, with a reference in double precision that knows nothing of the
/// engine.
pub struct Sample {
    pub op: &'static str,
    inputs: Vec<Input>,
    build: Build,
    reference: Reference,
    has_gradient: bool,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: Vec<String> = self
            .inputs
            .iter()
            .map(|input| TensorFact { dtype: input.dtype, shape: input.dims.clone() }.to_string())
            .collect();
        write!(f, "{}({})", self.op, shapes.join(", "))
    }
}

impl Sample {
    pub fn new(
        op: &'static str,
        inputs: Vec<Input>,
        build: impl Fn(&mut Graph, &[Var]) -> Result<Var, ShapeError> + 'static,
        reference: impl Fn(&[Real]) -> Real + 'static,
    ) -> Sample {
        Sample {
            op,
            inputs,
            build: Box::new(build),
            reference: Box::new(reference),
            has_gradient: true,
        }
    }

    /// Says that asking for the gradient is an error.
    pub fn without_gradient(mut self) -> Sample {
        self.has_gradient = false;
        self
    }

    /// Checks the sample with standard operators at a place, and with the fused kernels of the
    /// host.
    pub fn check(&self, runtime: &Runtime, place: Place) -> Result<(), String> {
        let values: Vec<Real> = self.inputs.iter().map(|input| input.values.clone()).collect();
        let expected = (self.reference)(&values);
        let mut numbers = Numbers::new(expected.len() as u64);
        let weights = numbers.real(expected.shape());
        let mut names = BTreeSet::new();
        let mut forms = Vec::new();
        // Functions such as erf are approximated otherwise on GPUs.
        let tolerance = if place == Place::Host { 1e-5 } else { 1e-4 };
        for (kernels, place) in [(Kernels::Standard, place), (Kernels::Fused, Place::Host)] {
            let (outputs, operators) = self
                .run(runtime, place, kernels, &weights)
                .map_err(|error| format!("{kernels:?}: {error}"))?;
            near(&outputs["y"], &expected, tolerance)
                .map_err(|error| format!("{kernels:?}: output: {error}"))?;
            if self.has_gradient {
                self.check_gradients(&outputs, &values, &weights, &mut numbers)
                    .map_err(|error| format!("{kernels:?}: {error}"))?;
            } else {
                self.check_refusal(kernels)?;
            }
            names.extend(operators);
            forms.push(outputs);
        }
        for (name, standard) in &forms[0] {
            near(&forms[1][name], &standard.mapv(f64::from), tolerance)
                .map_err(|error| format!("fused against standard: {name}: {error}"))?;
        }
        if names.contains(self.op) {
            Ok(())
        } else {
            Err("no graph of the sample has the operator".to_owned())
        }
    }

    fn graph(&self, kernels: Kernels) -> Result<(Graph, Vec<Var>, Var), ShapeError> {
        let mut g = Graph::new(kernels);
        let vars: Vec<Var> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                g.input(
                    &format!("x{index}"),
                    TensorFact { dtype: input.dtype, shape: input.dims.clone() },
                )
            })
            .collect();
        let y = (self.build)(&mut g, &vars)?;
        Ok((g, vars, y))
    }

    #[expect(clippy::type_complexity, reason = "two results, each said by the comment")]
    /// Runs the graph with its gradients under the loss Σ y·weights; returns the outputs and the
    /// names of the operators.
    fn run(
        &self,
        runtime: &Runtime,
        place: Place,
        kernels: Kernels,
        weights: &Real,
    ) -> Result<(BTreeMap<String, ArrayD<f32>>, Vec<&'static str>), EngineError> {
        let (mut g, vars, y) = self.graph(kernels)?;
        let fact = g.fact(y).clone();
        let agrees =
            |(dim, &size): (&Dim, &usize)| !matches!(dim, Dim::Fixed(fixed) if *fixed != size);
        if fact.rank() != weights.ndim() || !fact.shape.iter().zip(weights.shape()).all(agrees) {
            return Err(ShapeError(format!(
                "expected shape {:?}, inferred {fact}",
                weights.shape()
            ))
            .into());
        }
        g.output("y", y);
        if self.has_gradient {
            let weights = g.input("weights", fact);
            let weighted = g.mul(y, weights)?;
            let loss = g.reduce_sum(weighted, &[], false)?;
            let reals: Vec<(usize, Var)> = vars
                .iter()
                .copied()
                .enumerate()
                .filter(|(index, _)| self.inputs[*index].dtype == DType::F32)
                .collect();
            let wanted: Vec<Var> = reals.iter().map(|(_, var)| *var).collect();
            for ((index, _), gradient) in reals.iter().zip(gradients(&mut g, loss, &wanted)?) {
                let gradient =
                    gradient.ok_or_else(|| EngineError::Unreached(format!("x{index}")))?;
                g.output(&format!("gradient.{index}"), gradient);
            }
        }
        let mut feeds: Vec<(String, Feed)> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| (format!("x{index}"), input.feed()))
            .collect();
        feeds.push(("weights".to_owned(), Input::real(weights.clone()).feed()));
        feeds.push(("dropout_key".to_owned(), Feed::I64(vec![1], vec![KEY])));
        for site in g.dropout_sites() {
            let shape: Vec<usize> = site.shape.iter().map(|dim| self.size(dim)).collect();
            let mask = dropout::mask(KEY, site.site, site.rate, shape.iter().product());
            feeds.push((site.input.clone(), Feed::F32(shape, mask)));
        }
        Ok((
            execute_at(runtime, place, &g, feeds)?,
            g.nodes.iter().map(|node| node.op.name()).collect(),
        ))
    }

    fn size(&self, dim: &Dim) -> usize {
        let places =
            || self.inputs.iter().flat_map(|input| input.dims.iter().zip(input.values.shape()));
        match dim {
            Dim::Fixed(size) => *size,
            named => {
                *places()
                    .find(|(dim, _)| *dim == named)
                    .expect("a sample with dropout names its sizes")
                    .1
            }
        }
    }

    fn check_gradients(
        &self,
        outputs: &BTreeMap<String, ArrayD<f32>>,
        values: &[Real],
        weights: &Real,
        numbers: &mut Numbers,
    ) -> Result<(), String> {
        let loss = |values: &[Real]| (&(self.reference)(values) * weights).sum();
        for (index, value) in
            values.iter().enumerate().filter(|(index, _)| self.inputs[*index].dtype == DType::F32)
        {
            let gradient = outputs[&format!("gradient.{index}")].mapv(f64::from);
            if gradient.shape() != value.shape() {
                return Err(format!(
                    "the gradient of {:?} has shape {:?}",
                    value.shape(),
                    gradient.shape()
                ));
            }
            let slope = |direction: &Real| {
                let mut moved = values.to_vec();
                moved[index] = value + &(direction * STEP);
                let above = loss(&moved);
                moved[index] = value - &(direction * STEP);
                (above - loss(&moved)) / (2.0 * STEP)
            };
            let direction = numbers.real(value.shape());
            let (found, expected) = ((&gradient * &direction).sum(), slope(&direction));
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let close = (found - expected).abs() <= 1e-4 * (norm + 1e-2);
            if !close {
                return Err(format!(
                    "gradient {index} along a direction: expected {expected}, found {found} (norm \
                     {norm})"
                ));
            }
            let largest = gradient.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
            for probe in 0..PROBED.min(value.len()) {
                let place = if value.len() <= PROBED {
                    probe
                } else {
                    numbers.bits() as usize % value.len()
                };
                let mut direction = Real::zeros(value.raw_dim());
                direction.as_slice_mut().expect("fresh arrays are contiguous")[place] = 1.0;
                let (found, expected) = ((&gradient * &direction).sum(), slope(&direction));
                let close = (found - expected).abs() <= 1e-4 * (largest + 1e-2);
                if !close {
                    return Err(format!(
                        "gradient {index} at element {place}: expected {expected}, found {found} \
                         (largest {largest})"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks that the operator itself refuses to be differentiated, and so the driver.
    fn check_refusal(&self, kernels: Kernels) -> Result<(), String> {
        let (mut g, vars, y) = self.graph(kernels).map_err(|error| error.to_string())?;
        let loss = g.reduce_sum(y, &[], false).map_err(|error| error.to_string())?;
        let reals: Vec<Var> =
            vars.into_iter().filter(|&var| g.fact(var).dtype == DType::F32).collect();
        if gradients(&mut g, loss, &reals).is_ok_and(|found| found.iter().any(Option::is_some)) {
            return Err("the driver found a gradient".to_owned());
        }
        let Some(index) = g.nodes.iter().position(|node| node.op.name() == self.op) else {
            return Ok(());
        };
        let node = OpNode {
            inputs: g.nodes[index].inputs.clone(),
            outputs: g.nodes[index].outputs.clone(),
        };
        let dy: Vec<Option<Var>> = node.outputs.iter().copied().map(Some).collect();
        let op = g.nodes[index].op.clone();
        match op.grad(&mut g, &node, &dy) {
            Err(GradError::NoGradient(name)) if name == self.op => Ok(()),
            // What is counted or true has none; that is an answer where no input is real.
            Ok(found)
                if found.iter().all(Option::is_none)
                    && node
                        .inputs
                        .iter()
                        .flatten()
                        .all(|&input| g.fact(input).dtype != DType::F32) =>
            {
                Ok(())
            }
            other => Err(format!("the operator's gradient is {other:?}")),
        }
    }
}

/// Returns the library that the tests run on.
#[cfg(test)]
pub fn runtime() -> &'static Runtime {
    let library =
        Runtime::get(crate::engine::runtime::device::Device::Cpu, 2, &crate::base::report::Silent);
    library.expect("the tests want ONNX Runtime: set `ORT_DYLIB_PATH`, or let pip install it")
}

/// Runs a graph on the host, with the library that the tests run on.
#[cfg(test)]
pub fn execute(
    g: &Graph,
    feeds: Vec<(String, Feed)>,
) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
    execute_at(runtime(), Place::Host, g, feeds)
}

/// Writes a graph, opens it and runs it once; returns all its outputs.
pub fn execute_at(
    runtime: &Runtime,
    place: Place,
    g: &Graph,
    feeds: Vec<(String, Feed)>,
) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
    let mut bound = Bound::new(open(runtime, place, Precision::Fp32, &onnx::write(g))?)?;
    for (name, _) in &g.outputs {
        bound.binding.bind_output_to_device(name, Allocator::default().memory_info())?;
    }
    bound.feed(feeds)?;
    let outputs = bound.run()?;
    g.outputs
        .iter()
        .map(|(name, _)| {
            Ok((name.clone(), outputs[name.as_str()].try_extract_array::<f32>()?.to_owned()))
        })
        .collect()
}

/// Compares element by element, relative to the expected array's largest element (but at least to a
/// hundredth).
pub fn near(found: &ArrayD<f32>, expected: &Real, tolerance: f64) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("expected shape {:?}, found {:?}", expected.shape(), found.shape()));
    }
    let largest = expected.iter().fold(0.01, |largest: f64, value| largest.max(value.abs()));
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        // So written that a difference that is not a number fails.
        let close = (f64::from(found) - expected).abs() <= tolerance * largest;
        if !close {
            return Err(format!(
                "element {place}: expected {expected}, found {found} (largest {largest})"
            ));
        }
    }
    Ok(())
}
