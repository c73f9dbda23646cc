//! The optimizer as a graph of its own: parameters, gradients and state in, new parameters and
//! state out.

use super::fact::{DType, Dim, ShapeError, TensorFact};
use super::graph::{Constant, Graph, Kernels, Var};
use super::loss_scale::{LossScaling, Scaled};
use super::op::fused::{AdamW, SumSquares};
use super::op::reduce::{Reduce, Reduction};

/// The output with the global L2 norm of the gradients before clipping, `[1]`.
pub const GRADIENT_NORM: &str = "gradient_norm";

/// The rule of the update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// AdamW (Loshchilov & Hutter 2019) with bias correction, in PyTorch's order of operations.
    AdamW { beta1: f64, beta2: f64, epsilon: f64 },
    /// SGD with momentum, PyTorch's form: b ← μb + g + λθ, θ ← θ − ηb.
    Sgd { momentum: f64 },
}

/// What one parameter's group says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    pub weight_decay: f32,
    /// What the learning rate is multiplied with.
    pub rate_factor: f32,
}

/// An optimizer over a list of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    pub algorithm: Algorithm,
    /// The largest global L2 norm of the gradients.
    pub gradient_clip: Option<f32>,
    /// One for each parameter.
    pub groups: Vec<Group>,
}

impl OptimizerConfig {
    /// Returns how many state tensors each parameter has.
    pub fn states(&self) -> usize {
        match self.algorithm {
            Algorithm::AdamW { .. } => 2,
            Algorithm::Sgd { .. } => 1,
        }
    }

    /// Returns the scalars of step `step` (from 1), which the graph takes as the input `scalars`
    /// `[3]`.
    pub fn scalars(&self, learning_rate: f64, step: u64) -> [f32; 3] {
        match self.algorithm {
            Algorithm::AdamW { beta1, beta2, .. } => {
                let power = |beta: f64| beta.powf(step as f64);
                [
                    learning_rate as f32,
                    (1.0 - power(beta1)) as f32,
                    (1.0 - power(beta2)).sqrt() as f32,
                ]
            }
            Algorithm::Sgd { .. } => [learning_rate as f32, 1.0, 1.0],
        }
    }

    /// Takes values that have never had a gradient through steps with these learning rates, in the
    /// very arithmetic of the update, each operation rounded by itself: AdamW multiplies them with
    /// its decay, SGD's penalty gathers momentum.
    pub fn step_idle(&self, group: Group, learning_rates: &[f64], values: &mut [f32]) {
        if group.weight_decay == 0.0 {
            return;
        }
        let rates = learning_rates.iter().map(|&rate| rate as f32 * group.rate_factor);
        match self.algorithm {
            Algorithm::AdamW { .. } => {
                for rate in rates {
                    let decay = 1.0 - rate * group.weight_decay;
                    values.iter_mut().for_each(|value| *value *= decay);
                }
            }
            Algorithm::Sgd { momentum } => {
                let mut buffers = vec![0.0; values.len()];
                for rate in rates {
                    for (value, buffer) in values.iter_mut().zip(&mut buffers) {
                        *buffer = *buffer * momentum as f32 + *value * group.weight_decay;
                        *value -= *buffer * rate;
                    }
                }
            }
        }
    }

    /// Builds the graph for parameters of these shapes.
    ///
    /// Inputs: `parameter.i`, `gradient.i`, `state.i.j` and `scalars`; outputs: `new_parameter.i`,
    /// `new_state.i.j` and `gradient_norm` `[1]`, the global L2 norm before clipping. Each tensor
    /// is read by nothing but its own update, so that an output may be bound to its input's buffer.
    /// Where the loss is scaled, the gradients are too; see [`super::loss_scale`] for what is added
    /// then.
    pub fn graph(
        &self,
        shapes: &[Vec<usize>],
        kernels: Kernels,
        scaling: Option<&LossScaling>,
    ) -> Result<Graph, ShapeError> {
        let mut g = Graph::new(kernels);
        let fact =
            |shape: &[usize]| TensorFact::f32(shape.iter().map(|&size| Dim::Fixed(size)).collect());
        let gradients: Vec<Var> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| g.input(&format!("gradient.{i}"), fact(shape)))
            .collect();
        let scalars = g.input("scalars", TensorFact::f32(vec![Dim::Fixed(3)]));
        let mut norm = global_norm(&mut g, &gradients)?;
        let scaled = match scaling {
            Some(scaling) => {
                let inverse = LossScaling::inverse(&mut g)?;
                norm = g.mul(norm, inverse)?;
                Some(scaling.step(&mut g, inverse, norm)?)
            }
            None => None,
        };
        g.output(GRADIENT_NORM, norm);
        let mut scale = match self.gradient_clip {
            None => g.constant(Constant::F32(vec![1], vec![1.0])),
            Some(clip) => clip_scale(&mut g, norm, clip)?,
        };
        let scalars = match &scaled {
            Some(scaled) => {
                scale = g.mul(scale, scaled.inverse)?;
                self.scalars_of_taken(&mut g, scalars, scaled)?
            }
            None => scalars,
        };
        for (i, shape) in shapes.iter().enumerate() {
            let parameter = g.input(&format!("parameter.{i}"), fact(shape));
            let states: Vec<Var> = (0..self.states())
                .map(|j| g.input(&format!("state.{i}.{j}"), fact(shape)))
                .collect();
            let outputs = self.update(
                &mut g,
                self.groups[i],
                parameter,
                gradients[i],
                &states,
                scale,
                scalars,
            )?;
            let before = std::iter::once(parameter).chain(states);
            for (j, (before, mut after)) in before.zip(outputs).enumerate() {
                if let Some(scaled) = &scaled {
                    after = g.choose(scaled.is_taken, after, before)?;
                }
                match j {
                    0 => g.output(&format!("new_parameter.{i}"), after),
                    _ => g.output(&format!("new_state.{i}.{}", j - 1), after),
                }
            }
        }
        Ok(g)
    }

    /// Returns the scalars of a step by its number among those that are taken, which the host does
    /// not know.
    fn scalars_of_taken(
        &self,
        g: &mut Graph,
        scalars: Var,
        scaled: &Scaled,
    ) -> Result<Var, ShapeError> {
        let Algorithm::AdamW { beta1, beta2, .. } = self.algorithm else { return Ok(scalars) };
        let rate = g.slice(scalars, 0, 0, 1)?;
        let correction1 = scaled.correction(g, beta1)?;
        let correction2 = scaled.correction(g, beta2)?;
        let root2 = g.sqrt(correction2)?;
        let (correction1, root2) = (g.cast(correction1, DType::F32)?, g.cast(root2, DType::F32)?);
        g.concat(&[rate, correction1, root2], 0)
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are the update's operands")]
    fn update(
        &self,
        g: &mut Graph,
        group: Group,
        parameter: Var,
        gradient: Var,
        states: &[Var],
        scale: Var,
        scalars: Var,
    ) -> Result<Vec<Var>, ShapeError> {
        if let (Algorithm::AdamW { beta1, beta2, epsilon }, Kernels::Fused) =
            (self.algorithm, g.kernels())
        {
            let op = AdamW {
                beta1,
                beta2,
                epsilon: epsilon as f32,
                weight_decay: group.weight_decay,
                rate_factor: group.rate_factor,
            };
            return g.apply(op, &[parameter, gradient, states[0], states[1], scale, scalars]);
        }
        let gradient = g.mul(gradient, scale)?;
        let base_rate = g.slice(scalars, 0, 0, 1)?;
        let factor = g.scalar(group.rate_factor);
        let rate = g.mul(base_rate, factor)?;
        let weight_decay = g.scalar(group.weight_decay);
        match self.algorithm {
            Algorithm::AdamW { beta1, beta2, epsilon } => {
                let correction1 = g.slice(scalars, 0, 1, 2)?;
                let root_correction2 = g.slice(scalars, 0, 2, 3)?;
                let one = g.scalar(1.0);
                let loss_of_weight = g.mul(rate, weight_decay)?;
                let decay = g.sub(one, loss_of_weight)?;
                let step_size = g.div(rate, correction1)?;
                let (rise1, keep2) = (g.scalar((1.0 - beta1) as f32), g.scalar(beta2 as f32));
                let (rise2, epsilon) = (g.scalar((1.0 - beta2) as f32), g.scalar(epsilon as f32));
                let away = g.sub(gradient, states[0])?;
                let away = g.mul(away, rise1)?;
                let first = g.add(states[0], away)?;
                let kept = g.mul(states[1], keep2)?;
                let squared = g.mul(gradient, gradient)?;
                let new = g.mul(squared, rise2)?;
                let second = g.add(kept, new)?;
                let root = g.sqrt(second)?;
                let root = g.div(root, root_correction2)?;
                let denominator = g.add(root, epsilon)?;
                let direction = g.div(first, denominator)?;
                let step = g.mul(direction, step_size)?;
                let decayed = g.mul(parameter, decay)?;
                Ok(vec![g.sub(decayed, step)?, first, second])
            }
            Algorithm::Sgd { momentum } => {
                // The parameter is read twice here; the copy keeps the update from writing over
                // what the penalty still reads.
                let penalty = g.mul(parameter, weight_decay)?;
                let gradient = g.add(gradient, penalty)?;
                let momentum = g.scalar(momentum as f32);
                let kept = g.mul(states[0], momentum)?;
                let buffer = g.add(kept, gradient)?;
                let step = g.mul(buffer, rate)?;
                Ok(vec![g.sub(parameter, step)?, buffer])
            }
        }
    }
}

/// Returns what clipping multiplies the gradients with, `[1]`: PyTorch's clip_grad_norm_, min(1,
/// clip/(norm + 1e-6)).
pub(in crate::engine) fn clip_scale(
    g: &mut Graph,
    norm: Var,
    clip: f32,
) -> Result<Var, ShapeError> {
    let [clip, small, one] =
        [clip, 1e-6, 1.0].map(|value| g.constant(Constant::F32(vec![1], vec![value])));
    let raised = g.add(norm, small)?;
    let share = g.div(clip, raised)?;
    g.min(share, one)
}

/// Returns the L2 norm over all gradients, `[1]`.
pub(in crate::engine) fn global_norm(g: &mut Graph, gradients: &[Var]) -> Result<Var, ShapeError> {
    let mut squares = Vec::new();
    for &gradient in gradients {
        squares.push(match g.kernels() {
            Kernels::Fused => g.apply1(SumSquares, &[gradient])?,
            Kernels::Standard => {
                let sum = g.apply1(
                    Reduce { kind: Reduction::SumSquare, axes: Vec::new(), keep_dims: false },
                    &[gradient],
                )?;
                g.reshape(sum, &[1])?
            }
        });
    }
    let joined = g.concat(&squares, 0)?;
    let sum = g.reduce_sum(joined, &[0], true)?;
    g.sqrt(sum)
}
