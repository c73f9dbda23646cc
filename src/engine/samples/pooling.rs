//! Samples of poolings, over texts of unequal length.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::harness::{Input, Numbers, Sample};
use super::reference::Real;
use crate::engine::graph::fact::ShapeError;
use crate::engine::graph::graph::{Graph, Var};

type Build = fn(&mut Graph, Var, Var) -> Result<Var, ShapeError>;

/// One text's states, without padding → its vector.
type Reference = fn(ArrayView2<'_, f64>) -> Array1<f64>;

/// Each pooling with the operator that it ends in.
const POOLINGS: [(&str, Build, Reference); 5] = [
    ("Div", Graph::mean_of_tokens, |text| sum(text) / text.nrows() as f64),
    ("Div", Graph::root_mean_of_tokens, |text| sum(text) / (text.nrows() as f64).sqrt()),
    ("Div", Graph::weighted_mean_of_tokens, weighted_mean),
    ("ReduceSum", Graph::last_of_tokens, |text| text.row(text.nrows() - 1).to_owned()),
    ("ReduceMax", Graph::max_of_tokens, |text| {
        text.fold_axis(Axis(0), f64::MIN, |largest, value| largest.max(*value))
    }),
];

pub(in crate::engine) fn samples() -> Vec<Sample> {
    let mut numbers = Numbers::new(4);
    let n = &mut numbers;
    let mut samples = Vec::new();
    for (name, build, reference) in POOLINGS {
        for (lengths, hidden) in [(&[1][..], 3), (&[4, 1, 3], 5), (&[2, 17], 33)] {
            for named in [true, false] {
                let longest = lengths.iter().copied().max().unwrap_or_default();
                let is_seen = |i: usize| i64::from(i % longest < lengths[i / longest]);
                let mask: Vec<i64> = (0..lengths.len() * longest).map(is_seen).collect();
                let mut mask = Input::ints(&[lengths.len(), longest], &mask);
                let mut states = Input::real(n.real(&[lengths.len() * longest, hidden]));
                if named {
                    states = states.named(0, "T");
                    mask = mask.named(0, "B").named(1, "L");
                }
                samples.push(Sample::new(
                    name,
                    vec![states, mask],
                    move |g, x| {
                        let texts = g.by_text(x[0], x[1])?;
                        build(g, texts, x[1])
                    },
                    move |x| of_texts(&x[0], lengths, longest, reference),
                ));
            }
        }
    }
    for shape in [[1, 1], [3, 5], [2, 33]] {
        let x = Input::real(n.off_zero(&shape)).named(0, "B");
        samples.push(Sample::new(
            "Div",
            vec![x],
            |g, x| g.scaled_to_one(x[0]),
            |x| {
                let mut y = x[0].clone();
                for mut row in y.rows_mut() {
                    let length = row.dot(&row).sqrt();
                    row.mapv_inplace(|value| value / length);
                }
                y
            },
        ));
    }
    samples
}

fn of_texts(states: &Real, lengths: &[usize], longest: usize, reference: Reference) -> Real {
    let hidden = states.shape()[1];
    let mut pooled = Array2::zeros((lengths.len(), hidden));
    for (text, &length) in lengths.iter().enumerate() {
        let rows = states.slice(ndarray::s![text * longest..text * longest + length, ..]);
        pooled.row_mut(text).assign(&reference(rows));
    }
    pooled.into_dyn()
}

fn sum(text: ArrayView2<'_, f64>) -> Array1<f64> {
    text.sum_axis(Axis(0))
}

fn weighted_mean(text: ArrayView2<'_, f64>) -> Array1<f64> {
    let weights = Array1::from_iter((1..=text.nrows()).map(|place| place as f64));
    weights.dot(&text) / weights.sum()
}
