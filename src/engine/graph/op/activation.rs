//! `Gelu`: x·Φ(x), or its approximation by tanh.

use super::contract::{GradError, Op, OpNode, required};
use crate::engine::graph::fact::{ShapeError, TensorFact};
use crate::engine::graph::graph::{Graph, Var};
use crate::engine::graph::op::contract::AttributeValue;

/// GELU (Hendrycks & Gimpel 2016).
#[derive(Clone, Copy, Debug)]
pub struct Gelu {
    /// Whether to compute ½x(1 + tanh(√(2/π)(x + 0.044715x³))) in place of x·Φ(x).
    pub tanh: bool,
}

/// The constant of the approximation by tanh (Hendrycks & Gimpel 2016, section 2).
const CUBIC: f32 = 0.044715;

impl Op for Gelu {
    fn name(&self) -> &'static str {
        "Gelu"
    }

    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        vec![("approximate", AttributeValue::Text(if self.tanh { "tanh" } else { "none" }))]
    }

    fn infer(&self, inputs: &[Option<TensorFact>]) -> Result<Vec<TensorFact>, ShapeError> {
        let [x] = required(inputs)?;
        Ok(vec![x.clone()])
    }

    fn grad(
        &self,
        g: &mut Graph,
        node: &OpNode,
        dy: &[Option<Var>],
    ) -> Result<Vec<Option<Var>>, GradError> {
        let x = node.input(0);
        let Some(dy) = dy[0] else { return Ok(vec![None]) };
        let (half, one) = (g.scalar(0.5), g.scalar(1.0));
        let squared = g.mul(x, x)?;
        let slope = if self.tanh {
            // ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3·0.044715x²) with t = tanh(√(2/π)(x + 0.044715x³))
            let root = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
            let (a, b) = (g.scalar(root), g.scalar(root * CUBIC));
            let (c, three) = (g.scalar(root), g.scalar(3.0 * root * CUBIC));
            let cubic = g.mul(squared, b)?;
            let inner = g.add(cubic, a)?;
            let argument = g.mul(x, inner)?;
            let t = g.tanh(argument)?;
            let t_squared = g.mul(t, t)?;
            let falling = g.sub(one, t_squared)?;
            let steep = g.mul(squared, three)?;
            let steep = g.add(steep, c)?;
            let second = g.mul(falling, steep)?;
            let second = g.mul(second, x)?;
            let first = g.add(t, one)?;
            let sum = g.add(first, second)?;
            g.mul(sum, half)?
        } else {
            // Φ(x) + x·φ(x)
            let (root_half, scale) = (
                g.scalar(std::f32::consts::FRAC_1_SQRT_2),
                g.scalar(0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2),
            );
            let scaled = g.mul(x, root_half)?;
            let erf = g.erf(scaled)?;
            let raised = g.add(erf, one)?;
            let cumulative = g.mul(raised, half)?;
            let minus_half = g.scalar(-0.5);
            let exponent = g.mul(squared, minus_half)?;
            let bell = g.exp(exponent)?;
            let density = g.mul(bell, scale)?;
            let weighted = g.mul(x, density)?;
            g.add(cumulative, weighted)?
        };
        Ok(vec![Some(g.mul(dy, slope)?)])
    }
}
