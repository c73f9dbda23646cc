//! Building graphs: a method for each operator, and the composites that have a fused and a standard
//! form.

use super::fact::{DType, Dim, ShapeError, TensorFact};
use super::graph::{Constant, Graph, Kernels, Var};
use super::op::activation::Gelu;
use super::op::arithmetic::Arithmetic;
use super::op::fused::{AddNorm, BiasGelu, ColumnSum, Dropout, WeightGrad};
use super::op::gather::Gather;
use super::op::layout::{Cast, Expand, Reshape, ReshapeTo, Shape, Transpose};
use super::op::logic::{And, Comparison, CumSum, Not, TopK, Where};
use super::op::normalize::LayerNormalization;
use super::op::pointwise::Pointwise;
use super::op::product::{Gemm, MatMul};
use super::op::random_mask::RandomMask;
use super::op::reduce::{Reduce, Reduction};
use super::op::slice::{Concat, Slice};
use super::op::softmax::Softmax;

pub(super) type Built = Result<Var, ShapeError>;

/// The input `[B, K]` of [`Graph::weighted_cross_entropy`]: class weights, label smoothing and the
/// division by the batch are in it.
pub const TARGETS: &str = "targets";

/// Where dropout happens and how much.
#[derive(Clone, Copy, Debug)]
pub struct DropoutAt {
    /// The probability that an element is dropped; 0 for none.
    pub rate: f32,
    /// The number of this place in the model; every place has another.
    pub site: u32,
    pub source: DropoutSource,
}

/// What decides which elements are dropped.
#[derive(Clone, Copy, Debug)]
pub enum DropoutSource {
    /// Nothing: none are.
    None,
    /// The dropout key `[1]` of the step (i64).
    Key(Var),
    /// ONNX Runtime's own generator, from this seed; with standard operators only.
    Random(u32),
}

impl DropoutAt {
    /// No dropout.
    pub const NONE: DropoutAt = DropoutAt { rate: 0.0, site: 0, source: DropoutSource::None };

    pub(super) fn key(self) -> Option<Var> {
        match self.source {
            DropoutSource::Key(key) if self.rate > 0.0 => Some(key),
            _ => None,
        }
    }
}

/// Operators of the standard.
impl Graph {
    pub fn add(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Arithmetic::Add, &[a, b])
    }

    /// a + b, or a where there is no b.
    pub fn add_if(&mut self, a: Var, b: Option<Var>) -> Built {
        b.map_or(Ok(a), |b| self.add(a, b))
    }

    pub fn sub(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Arithmetic::Sub, &[a, b])
    }

    pub fn mul(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Arithmetic::Mul, &[a, b])
    }

    pub fn div(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Arithmetic::Div, &[a, b])
    }

    pub fn min(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Arithmetic::Min, &[a, b])
    }

    pub fn neg(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Neg, &[x])
    }

    pub fn sqrt(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Sqrt, &[x])
    }

    pub fn exp(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Exp, &[x])
    }

    pub fn log(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Log, &[x])
    }

    pub fn tanh(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Tanh, &[x])
    }

    pub fn erf(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Erf, &[x])
    }

    pub fn relu(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Relu, &[x])
    }

    pub fn reciprocal(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Reciprocal, &[x])
    }

    pub fn sin(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Sin, &[x])
    }

    pub fn cos(&mut self, x: Var) -> Built {
        self.apply1(Pointwise::Cos, &[x])
    }

    /// GELU, exact or by tanh.
    pub fn gelu(&mut self, x: Var, tanh: bool) -> Built {
        self.apply1(Gelu { tanh }, &[x])
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: Var) -> Built {
        self.apply1(Softmax::Softmax, &[x])
    }

    /// The logarithm of softmax over the last axis.
    pub fn log_softmax(&mut self, x: Var) -> Built {
        self.apply1(Softmax::LogSoftmax, &[x])
    }

    pub fn matmul(&mut self, a: Var, b: Var) -> Built {
        self.apply1(MatMul, &[a, b])
    }

    /// op(A)·op(B) + C.
    pub fn gemm(
        &mut self,
        a: Var,
        b: Var,
        c: Option<Var>,
        transpose_a: bool,
        transpose_b: bool,
    ) -> Built {
        let mut inputs = vec![a, b];
        inputs.extend(c);
        self.apply1(Gemm { transpose_a, transpose_b }, &inputs)
    }

    pub fn transpose(&mut self, x: Var, order: &[usize]) -> Built {
        self.apply1(Transpose { order: order.to_vec() }, &[x])
    }

    /// Swaps the last two axes.
    pub fn transpose_last(&mut self, x: Var) -> Built {
        let rank = self.fact(x).rank();
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.transpose(x, &order)
    }

    /// The same elements in another shape; −1 stands for what is left, 0 for the input's own size.
    pub fn reshape(&mut self, x: Var, shape: &[i64]) -> Built {
        self.apply1(Reshape { shape: shape.to_vec() }, &[x])
    }

    /// The same elements in the shape that a tensor of sizes holds; `result` is what is known of
    /// it.
    pub fn reshape_to(&mut self, x: Var, sizes: Var, result: Vec<Dim>) -> Built {
        self.apply1(ReshapeTo { result }, &[x, sizes])
    }

    /// Splits axis 0 of `[B·L, ...]` so that it becomes the first two axes of `like` `[B, L, ...]`.
    pub fn split_rows(&mut self, x: Var, like: Var) -> Built {
        let sizes = self.shape(like)?;
        let leading = self.slice(sizes, 0, 0, 2)?;
        let mut result = self.fact(like).shape[..2].to_vec();
        result.extend_from_slice(&self.fact(x).shape[1..]);
        let rest: Vec<i64> = self.fact(x).shape[1..]
            .iter()
            .map(|dim| {
                if let Dim::Fixed(size) = dim {
                    Ok(*size as i64)
                } else {
                    Err(ShapeError("the other axes must be known".to_owned()))
                }
            })
            .collect::<Result<_, _>>()?;
        let shape = if rest.is_empty() {
            leading
        } else {
            let rest = self.constant(Constant::ints(&rest));
            self.concat(&[leading, rest], 0)?
        };
        self.reshape_to(x, shape, result)
    }

    /// Adds axes of size 1 at these places of the result.
    pub fn unsqueeze(&mut self, x: Var, axes: &[usize]) -> Built {
        let fact = self.fact(x).clone();
        let mut result = fact.shape.clone();
        for &axis in axes {
            result.insert(axis, Dim::Fixed(1));
        }
        self.rearrange(x, result)
    }

    /// Takes away axes of size 1.
    pub fn squeeze(&mut self, x: Var, axes: &[usize]) -> Built {
        let shape = &self.fact(x).shape;
        let result = (0..shape.len())
            .filter(|axis| !axes.contains(axis))
            .map(|axis| shape[axis].clone())
            .collect();
        self.rearrange(x, result)
    }

    /// Reshapes to `result`, whose sizes other than 1 are those of `x` in their order.
    fn rearrange(&mut self, x: Var, result: Vec<Dim>) -> Built {
        let unknown = result.iter().filter(|dim| !matches!(dim, Dim::Fixed(_))).count();
        if unknown <= 1 {
            let shape: Vec<i64> = result
                .iter()
                .map(|dim| if let Dim::Fixed(size) = dim { *size as i64 } else { -1 })
                .collect();
            let reshaped = self.reshape(x, &shape)?;
            // The name of the size is worth keeping.
            self.values[reshaped.0 as usize].fact.shape = result;
            return Ok(reshaped);
        }
        let sizes = self.shape(x)?;
        let source = self.fact(x).shape.clone();
        let mut from = source
            .iter()
            .enumerate()
            .filter(|(_, dim)| !matches!(dim, Dim::Fixed(1)))
            .map(|(axis, _)| axis);
        let mut parts = Vec::new();
        for dim in &result {
            if *dim == Dim::Fixed(1) {
                parts.push(self.constant(Constant::ints(&[1])));
            } else {
                let axis =
                    from.next().ok_or_else(|| ShapeError("the sizes do not match".to_owned()))?;
                parts.push(self.slice(sizes, 0, axis, axis + 1)?);
            }
        }
        let shape = self.concat(&parts, 0)?;
        self.reshape_to(x, shape, result)
    }

    /// Broadcasts to the sizes that `shape` holds; `result` is what is known of them.
    pub fn expand(&mut self, x: Var, shape: Var, result: Vec<Dim>) -> Built {
        self.apply1(Expand { result }, &[x, shape])
    }

    /// Zeros in the sizes that `shape` holds.
    pub fn zeros(&mut self, shape: Var, result: Vec<Dim>) -> Built {
        let zero = self.scalar(0.0);
        self.expand(zero, shape, result)
    }

    pub fn cast(&mut self, x: Var, to: DType) -> Built {
        self.apply1(Cast { to }, &[x])
    }

    /// The sizes of a tensor.
    pub fn shape(&mut self, x: Var) -> Built {
        self.apply1(Shape, &[x])
    }

    pub fn reduce_sum(&mut self, x: Var, axes: &[i64], keep_dims: bool) -> Built {
        self.apply1(Reduce { kind: Reduction::Sum, axes: axes.to_vec(), keep_dims }, &[x])
    }

    pub fn reduce_mean(&mut self, x: Var, axes: &[i64], keep_dims: bool) -> Built {
        self.apply1(Reduce { kind: Reduction::Mean, axes: axes.to_vec(), keep_dims }, &[x])
    }

    pub fn reduce_max(&mut self, x: Var, axes: &[i64], keep_dims: bool) -> Built {
        self.apply1(Reduce { kind: Reduction::Max, axes: axes.to_vec(), keep_dims }, &[x])
    }

    /// The part from `start` up to `end` (left out) along an axis.
    pub fn slice(&mut self, x: Var, axis: usize, start: usize, end: usize) -> Built {
        self.apply1(Slice { axis, start, end }, &[x])
    }

    /// What follows the first `start` along an axis.
    pub fn slice_from(&mut self, x: Var, axis: usize, start: usize) -> Built {
        self.apply1(Slice { axis, start, end: usize::MAX }, &[x])
    }

    pub fn concat(&mut self, parts: &[Var], axis: usize) -> Built {
        self.apply1(Concat { axis }, parts)
    }

    /// Rows of a table by their numbers.
    pub fn gather(&mut self, table: Var, rows: Var) -> Built {
        self.apply1(Gather, &[table, rows])
    }

    /// `yes` where `condition` holds, else `no`.
    pub fn choose(&mut self, condition: Var, yes: Var, no: Var) -> Built {
        self.apply1(Where, &[condition, yes, no])
    }

    pub fn greater_or_equal(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Comparison::GreaterOrEqual, &[a, b])
    }

    pub fn less_or_equal(&mut self, a: Var, b: Var) -> Built {
        self.apply1(Comparison::LessOrEqual, &[a, b])
    }

    /// Whether both hold.
    pub fn and(&mut self, a: Var, b: Var) -> Built {
        self.apply1(And, &[a, b])
    }

    /// Whether two operands are equal. ONNX has an operator for it, of whose version in our
    /// operator set GPUs have no kernel.
    pub fn equal(&mut self, a: Var, b: Var) -> Built {
        let (least, most) = (self.greater_or_equal(a, b)?, self.less_or_equal(a, b)?);
        self.and(least, most)
    }

    pub fn not(&mut self, x: Var) -> Built {
        self.apply1(Not, &[x])
    }

    /// Running sums along an axis.
    pub fn cumulative_sum(&mut self, x: Var, axis: i64) -> Built {
        self.apply1(CumSum { axis }, &[x])
    }

    /// The `k` largest elements along the last axis, largest first, and their places.
    pub fn top_k(&mut self, x: Var, k: usize) -> Result<(Var, Var), ShapeError> {
        let found = self.apply(TopK { k }, &[x])?;
        Ok((found[0], found[1]))
    }
}

/// Composites with a fused and a standard form.
impl Graph {
    /// x·Wᵀ + b for rows `[T, in]`, weight `[out, in]` (Hugging Face's layout) and bias `[out]`.
    pub fn linear(&mut self, x: Var, weight: Var, bias: Option<Var>) -> Built {
        self.gemm(x, weight, bias, false, true)
    }

    /// Aᵀ·B for rows A `[T, M]` and B `[T, N]`.
    pub fn weight_grad(&mut self, a: Var, b: Var) -> Built {
        match self.kernels() {
            Kernels::Fused => self.apply1(WeightGrad, &[b, a]),
            Kernels::Standard => self.gemm(a, b, None, true, false),
        }
    }

    /// The sum over the rows of `[T, N]`.
    pub fn column_sum(&mut self, x: Var) -> Built {
        match self.kernels() {
            Kernels::Fused => self.apply1(ColumnSum, &[x]),
            Kernels::Standard => self.reduce_sum(x, &[0], false),
        }
    }

    /// Drops elements and scales the others by 1/(1 − rate).
    pub fn dropout(&mut self, x: Var, at: DropoutAt) -> Built {
        match (at.source, self.kernels()) {
            _ if at.rate == 0.0 => Ok(x),
            (DropoutSource::None, _) => Ok(x),
            (DropoutSource::Key(key), Kernels::Fused) => {
                self.apply1(Dropout { rate: at.rate, site: at.site }, &[x, key])
            }
            (DropoutSource::Key(_), Kernels::Standard) => {
                let shape = self.fact(x).shape.clone();
                let mask = self.dropout_mask(at.site, at.rate, shape);
                self.mul(x, mask)
            }
            (DropoutSource::Random(seed), _) => {
                let kept = self.apply(RandomMask { rate: at.rate, site: at.site, seed }, &[x])?[1];
                let kept = self.cast(kept, DType::F32)?;
                let scale = self.scalar(1.0 / (1.0 - at.rate));
                let mask = self.mul(kept, scale)?;
                self.mul(x, mask)
            }
        }
    }

    /// GELU(x + bias) for rows `[T, N]`.
    pub fn bias_gelu(&mut self, x: Var, bias: Var, tanh: bool) -> Built {
        match self.kernels() {
            Kernels::Fused => Ok(self.apply(BiasGelu { tanh }, &[x, bias])?[0]),
            Kernels::Standard => {
                let sum = self.add(x, bias)?;
                self.gelu(sum, tanh)
            }
        }
    }

    /// GELU(x) for rows `[T, N]`.
    pub fn gelu_of_rows(&mut self, x: Var, tanh: bool) -> Built {
        match (self.kernels(), self.fact(x).shape.last()) {
            (Kernels::Fused, Some(Dim::Fixed(width))) => {
                let none = Constant::F32(vec![*width], vec![0.0; *width]);
                let none = self.constant(none);
                self.bias_gelu(x, none, tanh)
            }
            _ => self.gelu(x, tanh),
        }
    }

    /// LayerNorm(residual + dropout(x + bias)) over rows `[T, H]`.
    pub fn add_norm(
        &mut self,
        x: Var,
        bias: Option<Var>,
        residual: Option<Var>,
        norm: (Var, Var, f32),
        at: DropoutAt,
    ) -> Built {
        let (gamma, beta, epsilon) = norm;
        if self.kernels() == Kernels::Fused {
            let key = at.key();
            let rate = if key.is_some() { at.rate } else { 0.0 };
            let op = AddNorm {
                has_bias: bias.is_some(),
                has_residual: residual.is_some(),
                epsilon,
                rate,
                site: at.site,
            };
            let inputs =
                [Some(x), bias.or(Some(gamma)), residual.or(Some(x)), Some(gamma), Some(beta), key];
            return Ok(self.apply_optional(op, &inputs)?[0]);
        }
        let x = self.add_if(x, bias)?;
        let mut x = self.dropout(x, at)?;
        if let Some(residual) = residual {
            x = self.add(residual, x)?;
        }
        Ok(self.apply(LayerNormalization { epsilon }, &[x, gamma, beta])?[0])
    }

    /// The cross-entropy −Σ targets·log softmax(logits): logits and targets `[B, K]` → a scalar.
    /// The targets carry class weights, label smoothing and the division by the batch.
    pub fn cross_entropy(&mut self, logits: Var, targets: Var) -> Built {
        let log_probabilities = self.log_softmax(logits)?;
        let weighted = self.mul(targets, log_probabilities)?;
        let sum = self.reduce_sum(weighted, &[], false)?;
        self.neg(sum)
    }

    /// Declares the input [`TARGETS`] and adds the cross-entropy of logits `[B, K]` with it.
    pub fn weighted_cross_entropy(&mut self, logits: Var) -> Built {
        let fact = self.fact(logits);
        let classes = fact.shape[fact.axis(1)?].clone();
        let targets = self.input(TARGETS, TensorFact::f32(vec![Dim::Named("B"), classes]));
        self.cross_entropy(logits, targets)
    }

    /// Declares an i64 input `[B, L]`.
    pub fn tokens_input(&mut self, name: &str) -> Var {
        self.input(name, TensorFact::i64(vec![Dim::Named("B"), Dim::Named("L")]))
    }
}
