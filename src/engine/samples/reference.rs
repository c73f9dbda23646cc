//! The references: plain loops in double precision.

use ndarray::{ArrayD, Axis, IxDyn, Zip};

pub type Real = ArrayD<f64>;

/// erf in double precision by its series and continued fraction (Abramowitz & Stegun 7.1.6 and
/// 7.1.14).
pub fn erf64(x: f64) -> f64 {
    if x.abs() < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let size = x.abs();
        let fraction =
            (1..200).rev().fold(size, |fraction, k| size + f64::from(k) / 2.0 / fraction);
        (1.0 - (-size * size).exp() / (fraction * std::f64::consts::PI.sqrt())).copysign(x)
    }
}

/// Returns the shape that two shapes broadcast to.
pub fn joint(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        if axis + shape.len() < rank { 1 } else { shape[axis + shape.len() - rank] }
    };
    (0..rank).map(|axis| if size(a, axis) == 1 { size(b, axis) } else { size(a, axis) }).collect()
}

pub fn spread(x: &Real, shape: &[usize]) -> Real {
    x.broadcast(IxDyn(shape)).expect("the sample's shapes broadcast").to_owned()
}

pub fn binary(a: &Real, b: &Real, f: impl Fn(f64, f64) -> f64) -> Real {
    let shape = joint(a.shape(), b.shape());
    Zip::from(&spread(a, &shape)).and(&spread(b, &shape)).map_collect(|&a, &b| f(a, b))
}

pub fn shaped(shape: &[usize], values: Vec<f64>) -> Real {
    Real::from_shape_vec(IxDyn(shape), values).expect("the reference's sizes go together")
}

/// Returns the elements in row-major order.
pub fn flat(x: &Real) -> Vec<f64> {
    x.iter().copied().collect()
}

pub fn gelu(x: f64, tanh: bool) -> f64 {
    if tanh {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    } else {
        0.5 * x * (1.0 + erf64(x / 2.0f64.sqrt()))
    }
}

pub fn softmax(x: &Real) -> Real {
    let mut y = x.clone();
    for mut lane in y.lanes_mut(Axis(x.ndim() - 1)) {
        let highest = lane.fold(f64::NEG_INFINITY, |highest, &value| highest.max(value));
        lane.mapv_inplace(|value| (value - highest).exp());
        let sum = lane.sum();
        lane.mapv_inplace(|value| value / sum);
    }
    y
}

pub fn matmul(a: &Real, b: &Real) -> Real {
    let rank = a.ndim();
    let (m, k, n) = (a.shape()[rank - 2], a.shape()[rank - 1], b.shape()[rank - 1]);
    let batch = joint(&a.shape()[..rank - 2], &b.shape()[..rank - 2]);
    let a = flat(&spread(a, &[&batch[..], &[m, k]].concat()));
    let b = flat(&spread(b, &[&batch[..], &[k, n]].concat()));
    let mut y = Vec::new();
    for text in 0..batch.iter().product() {
        for i in 0..m {
            for j in 0..n {
                y.push(
                    (0..k)
                        .map(|inner| a[(text * m + i) * k + inner] * b[(text * k + inner) * n + j])
                        .sum(),
                );
            }
        }
    }
    shaped(&[&batch[..], &[m, n]].concat(), y)
}

/// Returns normalised rows without scale and shift, over the last axis, and the inverse deviations.
pub fn normalized(x: &Real, epsilon: f64) -> (Real, Vec<f64>) {
    let (mut y, mut inverse) = (x.clone(), Vec::new());
    for mut lane in y.lanes_mut(Axis(x.ndim() - 1)) {
        let n = lane.len() as f64;
        let mean = lane.sum() / n;
        let variance = lane.fold(0.0, |sum, value| sum + (value - mean).powi(2)) / n;
        let scale = 1.0 / (variance + epsilon).sqrt();
        lane.mapv_inplace(|value| (value - mean) * scale);
        inverse.push(scale);
    }
    (y, inverse)
}

pub fn layer_norm(x: &Real, gamma: &Real, beta: &Real, epsilon: f64) -> Real {
    let scaled = binary(&normalized(x, epsilon).0, gamma, |x, gamma| x * gamma);
    binary(&scaled, beta, |x, beta| x + beta)
}

/// One attention, its sizes and mask.
#[derive(Clone)]
pub struct Attention {
    pub batch: usize,
    pub length: usize,
    /// Queries of a text.
    pub queries: usize,
    pub hidden: usize,
    pub heads: usize,
    /// `[B, L]`, 0 hides.
    pub mask: Vec<i64>,
    /// What each probability `[B, heads, Lq, L]` is multiplied with; empty for no dropout.
    pub factors: Vec<f64>,
    /// What q·k/√d is multiplied with.
    pub factor: f64,
}

impl Attention {
    /// Returns the context `[B·Lq, H]` and the probabilities before dropout `[B, heads, Lq, L]`.
    /// The scores may have a bias `[1 or B, 1 or heads, at least Lq, L]`.
    pub fn forward(&self, q: &Real, k: &Real, v: &Real, bias: Option<&Real>) -> (Real, Real) {
        let bias = |text: usize, head: usize, query: usize, key: usize| {
            bias.map_or(0.0, |bias| {
                let (texts, heads) = (bias.shape()[0], bias.shape()[1]);
                bias[[text.min(texts - 1), head.min(heads - 1), query, key]]
            })
        };
        let width = self.hidden / self.heads;
        let (q, k, v) = (flat(q), flat(k), flat(v));
        let mut context = vec![0.0; self.batch * self.queries * self.hidden];
        let mut probabilities = Vec::new();
        for text in 0..self.batch {
            for head in 0..self.heads {
                for query in 0..self.queries {
                    let start = (text * self.queries + query) * self.hidden + head * width;
                    let place =
                        |key: usize| (text * self.length + key) * self.hidden + head * width;
                    let visible = |key: usize| self.mask[text * self.length + key] != 0;
                    let scores: Vec<f64> = (0..self.length)
                        .map(|key| {
                            let product: f64 =
                                (0..width).map(|i| q[start + i] * k[place(key) + i]).sum();
                            product * self.factor / (width as f64).sqrt()
                                + bias(text, head, query, key)
                        })
                        .collect();
                    let highest = (0..self.length)
                        .filter(|&key| visible(key))
                        .fold(f64::NEG_INFINITY, |top, key| top.max(scores[key]));
                    let raised: Vec<f64> = (0..self.length)
                        .map(|key| if visible(key) { (scores[key] - highest).exp() } else { 0.0 })
                        .collect();
                    let sum: f64 = raised.iter().sum();
                    for (key, raised) in raised.iter().enumerate() {
                        let factor = self.factors.get(probabilities.len()).copied().unwrap_or(1.0);
                        probabilities.push(raised / sum);
                        for i in 0..width {
                            context[start + i] += raised / sum * factor * v[place(key) + i];
                        }
                    }
                }
            }
        }
        (
            shaped(&[self.batch * self.queries, self.hidden], context),
            shaped(&[self.batch, self.heads, self.queries, self.length], probabilities),
        )
    }
}

/// Returns the gradient of Σ dy·f(x) by central differences, element by element.
pub fn differences(x: &Real, dy: &Real, f: impl Fn(&Real) -> Real) -> Real {
    const STEP: f64 = 1e-5;
    let values = flat(x);
    let at = |place: usize, by: f64| {
        let mut moved = values.clone();
        moved[place] += by;
        (&f(&shaped(x.shape(), moved)) * dy).sum()
    };
    shaped(
        x.shape(),
        (0..values.len())
            .map(|place| (at(place, STEP) - at(place, -STEP)) / (2.0 * STEP))
            .collect(),
    )
}
