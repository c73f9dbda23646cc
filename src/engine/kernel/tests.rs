//! The result of a part does not depend on the other parts, so the number of threads changes no
//! bit.

use super::parallel::{Shared, range};
use super::product::{Tile, WeightGrad};
use super::random::MaskKey;
use super::{adamw, attention, dropout, gelu, norm, sums};
use crate::engine::samples::harness::Numbers;

fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| numbers.between(-1.5, 1.5) as f32).collect()
}

const ROWS: usize = 7;
const WIDTH: usize = 37;

/// Calls `work` for pieces of rows of several sizes and compares the results of each division.
fn by_rows(mut work: impl FnMut(std::ops::Range<usize>, &mut Vec<f32>)) {
    let results: Vec<Vec<f32>> = [ROWS, 1, 3]
        .into_iter()
        .map(|size| {
            let mut result = Vec::new();
            for part in 0..ROWS.div_ceil(size) {
                work(range(part, size, ROWS), &mut result);
            }
            result
        })
        .collect();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    let (x, residual, vectors) =
        (numbers(1, ROWS * WIDTH), numbers(2, ROWS * WIDTH), numbers(3, 3 * WIDTH));
    let (bias, gamma, beta) =
        (&vectors[..WIDTH], &vectors[WIDTH..2 * WIDTH], &vectors[2 * WIDTH..]);
    let key = Some(MaskKey::new(5, 1, 0.3));
    by_rows(|rows, result| {
        let here = rows.start * WIDTH..rows.end * WIDTH;
        let blank = vec![0.0; here.len()];
        let (mut y, mut normed, mut inverse) =
            (blank.clone(), blank.clone(), vec![0.0; rows.len()]);
        let args = norm::Forward {
            bias: Some(bias),
            gamma,
            beta,
            epsilon: 1e-5,
            key,
            first_row: rows.start,
        };
        norm::forward(
            &args,
            &x[here.clone()],
            Some(&residual[here.clone()]),
            &mut y,
            &mut normed,
            &mut inverse,
        );
        let (mut dx, mut d_residual, mut sums) = (blank.clone(), blank, vec![0.0; 3 * WIDTH]);
        norm::backward(
            &residual[here],
            &normed,
            &inverse,
            gamma,
            key,
            rows.start,
            &mut dx,
            &mut d_residual,
            &mut sums,
        );
        for index in 0..rows.len() {
            let here = index * WIDTH..(index + 1) * WIDTH;
            for values in [
                &y[here.clone()],
                &normed[here.clone()],
                &inverse[index..=index],
                &dx[here.clone()],
                &d_residual[here],
            ] {
                result.extend_from_slice(values);
            }
        }
    });
    by_rows(|rows, result| {
        let here = rows.start * WIDTH..rows.end * WIDTH;
        let (mut y, mut slope) = (vec![0.0; here.len()], vec![0.0; here.len()]);
        gelu::forward(&x[here.clone()], bias, false, &mut y, &mut slope);
        let mut dropped = vec![0.0; here.len()];
        dropout::apply(&x[here.clone()], MaskKey::new(5, 2, 0.5), here.start, &mut dropped);
        let (mut dx, mut sum, mut row_sum) =
            (vec![0.0; here.len()], vec![0.0; WIDTH], vec![0.0; WIDTH]);
        gelu::backward(&residual[here.clone()], &slope, &mut dx, &mut sum);
        // Both sum the rows in order.
        sums::rows(&dx, &mut row_sum);
        assert_eq!(sum, row_sum);
        for index in 0..here.len() {
            result.extend([y[index], slope[index], dropped[index], dx[index]]);
        }
    });
    by_rows(|rows, result| {
        let here = rows.start * WIDTH..rows.end * WIDTH;
        let (mut p, mut m, mut v) =
            (x[here.clone()].to_vec(), residual[here.clone()].to_vec(), vec![0.5; here.len()]);
        let step = adamw::Step {
            learning_rate: 0.01,
            beta2: 0.999,
            rise1: 0.1,
            rise2: 0.001,
            epsilon: 1e-8,
            weight_decay: 0.1,
            correction1: 0.3,
            root_correction2: 0.05,
            scale: 0.7,
        };
        adamw::update(&step, &residual[here], &mut p, &mut m, &mut v);
        for index in 0..p.len() {
            result.extend([p[index], m[index], v[index]]);
        }
    });
}

#[test]
fn columns_do_not_depend_on_their_neighbours() {
    let x = numbers(4, ROWS * WIDTH);
    let rows = [2, 0, 2, -1, 1, 2, 0];
    let scattered = |size: usize| {
        let mut gradient = vec![f32::NAN; 4 * WIDTH];
        let shared = Shared::new(&mut gradient);
        for part in (0..WIDTH.div_ceil(size)).rev() {
            sums::scatter(&rows, &x, WIDTH, range(part, size, WIDTH), 4, &shared);
        }
        gradient
    };
    assert_eq!(scattered(WIDTH), scattered(5));
}

/// Context and gradients of queries, keys and values of two texts of 5 and 4 tokens, and what is
/// made of each part. `padded` says whether the last row of the second text is there.
fn attended(parts: &[usize], padded: bool) -> ([Vec<f32>; 4], [Vec<f32>; 3]) {
    let texts = [(0, 5), (5, if padded { 5 } else { 4 })];
    let sizes = texts.map(|(first, length)| attention::Sizes {
        hidden: 12,
        heads: 3,
        length,
        most: 5,
        first,
    });
    let bias = numbers(11, 12);
    let (q, k, v, dy) = (numbers(5, 120), numbers(6, 120), numbers(7, 120), numbers(8, 120));
    let mask = [1, 1, 1, 1, 1, 1, 1, 1, 1, 0];
    let key = Some(MaskKey::new(5, 3, 0.3));
    let of_scores = numbers(12, 75);
    let scores = attention::Scores::new([2, 3, 5], 0.5, Some((&[1, 3, 5, 5], &of_scores)));
    let Some(scores) = scores else { panic!("a bias for each head") };
    // No gradient comes from what nothing reads.
    let dy: Vec<f32> =
        dy.iter().enumerate().map(|(at, dy)| if at < 108 { *dy } else { 0.0 }).collect();
    let mut buffers =
        [vec![f32::NAN; 120], vec![f32::NAN; 120], vec![f32::NAN; 120], vec![f32::NAN; 120]];
    let mut probabilities = vec![f32::NAN; 6 * 25];
    let [context, dq, dk, dv] = buffers.each_mut().map(|buffer| Shared::new(buffer));
    let operands = [&q, &k, &v].map(|rows| attention::Biased { rows, bias: Some(&bias) });
    for &part in parts {
        let sizes = sizes[part / 3];
        let own = &mut probabilities[part * 25..][..sizes.length * sizes.length];
        let mask = &mask[part / 3 * 5..][..sizes.length];
        attention::forward((scores, sizes), part, operands, mask, key, &context, own);
    }
    let mut d_biases = vec![f32::NAN; 2 * 36];
    let sets = Shared::new(&mut d_biases);
    let mut d_scores = vec![0.0; 6 * 25];
    for &part in parts {
        let sizes = sizes[part / 3];
        let own = &probabilities[part * 25..][..sizes.length * sizes.length];
        let gradients = attention::Gradients {
            rows: [&dq, &dk, &dv],
            biases: &sets,
            set: part / 3 * 36,
            scores: Some(&mut d_scores[part * 25..(part + 1) * 25]),
        };
        attention::backward(sizes, 0.5, part, operands, own, &dy, key, gradients);
    }
    (buffers, [probabilities, d_biases, d_scores])
}

/// The heads of a batch in both orders: each writes its own place and reads no other's.
#[test]
fn heads_do_not_depend_on_their_order() {
    let forward = attended(&[0, 1, 2, 3, 4, 5], true);
    assert!(
        forward.0.iter().chain(&forward.1).flatten().all(|value| value.is_finite()),
        "every place is written"
    );
    assert_eq!(forward, attended(&[5, 3, 1, 4, 2, 0], true));
}

/// Without the rows of padding, those of tokens are the same to the last bit.
#[test]
fn attention_does_not_need_the_rows_of_padding() {
    let parts = [0, 1, 2, 3, 4, 5];
    let ((padded, [_, padded_biases, padded_scores]), (packed, [_, biases, scores])) =
        (attended(&parts, true), attended(&parts, false));
    for (padded, packed) in padded.iter().zip(&packed) {
        assert_eq!(padded[..108], packed[..108]);
        assert!(packed[108..].iter().all(|value| value.is_nan()), "nothing else is written");
    }
    assert_eq!((padded_biases, padded_scores), (biases, scores));
}

/// Parts in any order and both tiles give the same sums, which agree with the definition.
#[test]
fn a_weights_gradient_depends_on_neither_parts_nor_registers() {
    for (depth, rows, columns) in [(600, 200, 150), (600, 150, 200), (70, 40, 300)] {
        let (a, b) = (numbers(9, depth * rows), numbers(10, depth * columns));
        let run = |tile: Tile, backwards: bool| {
            let product = WeightGrad { tile, depth, rows, columns };
            let order = |parts: usize| {
                (0..parts).map(move |part| if backwards { parts - 1 - part } else { part })
            };
            let (mut packed, mut result) =
                (vec![f32::NAN; product.packed()], vec![f32::NAN; rows * columns]);
            let shared = Shared::new(&mut packed);
            order(product.packing_parts()).for_each(|part| product.pack(part, &a, &b, &shared));
            let shared = Shared::new(&mut result);
            order(product.parts())
                .for_each(|part| product.multiply(part, &a, &b, &packed, &shared));
            result
        };
        let found = run(Tile::Wide, false);
        for (index, &found) in found.iter().enumerate() {
            let term = |t: usize| {
                f64::from(a[t * rows + index / columns])
                    * f64::from(b[t * columns + index % columns])
            };
            let expected: f64 = (0..depth).map(term).sum();
            assert!(
                (f64::from(found) - expected).abs() < 1e-4,
                "{index}: {found}, expected {expected}"
            );
        }
        assert_eq!(found, run(Tile::Wide, true));
        assert_eq!(found, run(Tile::Narrow, false));
    }
}
