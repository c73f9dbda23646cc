//! AdamW: one step in one pass over memory.

use super::simd::vectorized;

/// Elements per part.
pub const PART: usize = 32_768;

/// The numbers of one step for one parameter.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub learning_rate: f32,
    pub beta2: f32,
    /// 1 − β₁ and 1 − β₂, subtracted in double precision: 1 − 0.999 in single precision is off by
    /// 1e-5 of itself.
    pub rise1: f32,
    pub rise2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    /// 1 − β₁ᵗ
    pub correction1: f32,
    /// √(1 − β₂ᵗ)
    pub root_correction2: f32,
    /// The factor of the gradient, from clipping.
    pub scale: f32,
}

vectorized! {
/// Updates elements in place: θ ← θ(1 − ηλ) − η/(1 − β₁ᵗ)·m/(√v/√(1 − β₂ᵗ) + ε), in PyTorch's order
/// of operations.
pub fn update(
    step: &Step,
    gradient: &[f32],
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let decay = 1.0 - step.learning_rate * step.weight_decay;
    let step_size = step.learning_rate / step.correction1;
    for (((g, p), m), v) in gradient.iter().zip(parameter).zip(first).zip(second) {
        let g = g * step.scale;
        *m += (g - *m) * step.rise1;
        *v = *v * step.beta2 + g * g * step.rise2;
        let denominator = v.sqrt() / step.root_correction2 + step.epsilon;
        *p = *p * decay - step_size * (*m / denominator);
    }
}
}
