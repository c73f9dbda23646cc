//! An optimizer over groups of parameters, and its graph.

use std::sync::Arc;

use super::clipping::{clip_scale, global_norm};
use super::update::{Operands, Update};
use crate::engine::graph::fact::{Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Kernels, Var};
use crate::engine::graph::loss_scale::{LossScaling, Scaled};

/// The output with the global L2 norm of the gradients before clipping, `[1]`.
pub const GRADIENT_NORM: &str = "gradient_norm";
/// The input `[G]` with the learning rate of each group.
pub const LEARNING_RATES: &str = "learning_rates";
/// The input `[C]` with [`Update::corrections`], where there are any and the host knows the step.
pub const CORRECTIONS: &str = "corrections";

/// Parameters that share a learning rate and a weight decay, as PyTorch's `param_groups` do.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterGroup {
    pub parameters: Vec<String>,
    /// Before the schedule.
    pub learning_rate: f64,
    pub weight_decay: f32,
    /// The strength λ of the pull towards the values w₀ before the first step: λ(w − w₀) is added
    /// to the gradients (L2-SP, Li et al. 2018). Mostly 0.
    pub pull: f32,
}

/// An optimizer over groups of parameters.
#[derive(Clone, Debug)]
pub struct OptimizerConfig {
    pub update: Arc<dyn Update>,
    /// The largest global L2 norm of the gradients.
    pub gradient_clip: Option<f32>,
    pub groups: Vec<ParameterGroup>,
}

impl OptimizerConfig {
    /// Returns the learning rate of each group before the schedule.
    pub fn learning_rates(&self) -> Vec<f64> {
        self.groups.iter().map(|group| group.learning_rate).collect()
    }

    /// Returns the number of the group that holds a parameter.
    pub fn group_of(&self, parameter: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.parameters.iter().any(|known| known == parameter))
    }

    /// Takes values of a parameter that have never had a gradient through steps with these learning
    /// rates of its group, in the very arithmetic of the update. Steps without a rate were left
    /// out. Where the values change, `show` sees them after each step, by its place from 0.
    pub fn decay_unused_rows(
        &self,
        group: usize,
        learning_rates: &[Option<f64>],
        values: &mut [f32],
        show: &mut dyn FnMut(usize, &[f32]),
    ) {
        let weight_decay = self.groups[group].weight_decay;
        if weight_decay != 0.0 {
            self.update.decay_unused_rows(learning_rates, weight_decay, values, show);
        }
    }

    /// Builds the graph for parameters of these names and shapes.
    ///
    /// Inputs: `parameter.i`, `gradient.i`, `state.i.j`, [`LEARNING_RATES`], perhaps
    /// [`CORRECTIONS`], and [`anchor`]s where there is a pull; outputs: `new_parameter.i`,
    /// `new_state.i.j` and `gradient_norm` `[1]`, the global L2 norm before clipping. Each tensor
    /// is read by nothing but its own update and what comes before every update, so that an output
    /// may be bound to its input's buffer. Where the loss is scaled, the gradients are too; see
    /// [`crate::engine::graph::loss_scale`] for what is added then.
    ///
    /// # Errors
    ///
    /// Fails where a parameter is in no group.
    pub fn graph(
        &self,
        parameters: &[(String, Vec<usize>)],
        kernels: Kernels,
        scaling: Option<&LossScaling>,
    ) -> Result<Graph, ShapeError> {
        let mut g = Graph::new(kernels);
        let gradients: Vec<Var> = parameters
            .iter()
            .enumerate()
            .map(|(i, (_, shape))| g.input(&format!("gradient.{i}"), fact(shape)))
            .collect();
        let rates = g.input(LEARNING_RATES, fact(&[self.groups.len()]));
        let (parameters, gradients) = self.pulled(&mut g, parameters, gradients, scaling)?;
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
        if let Some(scaled) = &scaled {
            scale = g.mul(scale, scaled.inverse)?;
        }
        let corrections = self.corrections(&mut g, scaled.as_ref())?;
        let rates = (0..self.groups.len())
            .map(|group| g.slice(rates, 0, group, group + 1))
            .collect::<Result<Vec<_>, _>>()?;
        for (i, Parameter { var: parameter, group, shape }) in parameters.into_iter().enumerate() {
            let states: Vec<Var> = (0..self.update.states())
                .map(|j| g.input(&format!("state.{i}.{j}"), fact(shape)))
                .collect();
            let operands = Operands {
                parameter,
                gradient: gradients[i],
                states: &states,
                scale,
                learning_rate: rates[group],
                weight_decay: self.groups[group].weight_decay,
                corrections,
            };
            let outputs = self.update.graph(&mut g, &operands)?;
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

    /// Adds the parameters, and the pull towards their first values to their gradients.
    fn pulled<'a>(
        &self,
        g: &mut Graph,
        parameters: &'a [(String, Vec<usize>)],
        gradients: Vec<Var>,
        scaling: Option<&LossScaling>,
    ) -> Result<(Vec<Parameter<'a>>, Vec<Var>), ShapeError> {
        let (mut found, mut pulled) = (Vec::new(), Vec::new());
        for (i, ((name, shape), mut gradient)) in parameters.iter().zip(gradients).enumerate() {
            let group = self
                .group_of(name)
                .ok_or_else(|| ShapeError(format!("parameter `{name}` is in no group")))?;
            let var = g.input(&format!("parameter.{i}"), fact(shape));
            let pull = self.groups[group].pull;
            if pull != 0.0 {
                let anchor = g.input(&anchor(i), fact(shape));
                let away = g.sub(var, anchor)?;
                let strength = g.constant(Constant::F32(vec![1], vec![pull]));
                let mut force = g.mul(away, strength)?;
                if scaling.is_some() {
                    // The gradients are those of the scaled loss.
                    let inverse = LossScaling::inverse(g)?;
                    force = g.div(force, inverse)?;
                }
                gradient = g.add(gradient, force)?;
            }
            found.push(Parameter { var, group, shape });
            pulled.push(gradient);
        }
        Ok((found, pulled))
    }

    /// Returns the step's corrections `[C]`: an input, or computed where only the graph knows how
    /// many steps were taken.
    fn corrections(
        &self,
        g: &mut Graph,
        scaled: Option<&Scaled>,
    ) -> Result<Option<Var>, ShapeError> {
        let count = self.update.corrections(1).len();
        Ok(match scaled {
            _ if count == 0 => None,
            Some(scaled) => Some(self.update.corrections_of_taken(g, scaled)?),
            None => Some(g.input(CORRECTIONS, fact(&[count]))),
        })
    }
}

/// A parameter of an update.
struct Parameter<'a> {
    var: Var,
    /// The place of its group.
    group: usize,
    shape: &'a [usize],
}

/// Returns the name of the input with the values of a parameter before the first step, where it is
/// pulled towards them.
pub fn anchor(index: usize) -> String {
    format!("anchor.{index}")
}

fn fact(shape: &[usize]) -> TensorFact {
    TensorFact::f32(shape.iter().map(|&size| Dim::Fixed(size)).collect())
}
