//! Clipping by the global norm of the gradients.

use crate::engine::graph::fact::ShapeError;
use crate::engine::graph::graph::{Constant, Graph, Kernels, Var};
use crate::engine::graph::op::fused::SumSquares;
use crate::engine::graph::op::reduce::{Reduce, Reduction};

/// Returns what clipping multiplies the gradients with, `[1]`: PyTorch's clip_grad_norm_, min(1,
/// clip/(norm + 1e-6)).
pub fn clip_scale(g: &mut Graph, norm: Var, clip: f32) -> Result<Var, ShapeError> {
    let [clip, small, one] =
        [clip, 1e-6, 1.0].map(|value| g.constant(Constant::F32(vec![1], vec![value])));
    let raised = g.add(norm, small)?;
    let share = g.div(clip, raised)?;
    g.min(share, one)
}

/// Returns the L2 norm over all gradients, `[1]`.
pub fn global_norm(g: &mut Graph, gradients: &[Var]) -> Result<Var, ShapeError> {
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
