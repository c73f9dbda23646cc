//! Samples of the composites that have a fused and a standard form.

use super::harness::{Input, KEY, Numbers, Sample};
use super::reference::{Attention as Witness, Real, binary, gelu, layer_norm, matmul, shaped};
use crate::engine::graph::attention::Heads;
use crate::engine::graph::build::{DropoutAt, DropoutSource};
use crate::engine::graph::graph::Constant;
use crate::engine::kernel::dropout;

pub(in crate::engine) fn samples() -> Vec<Sample> {
    let mut numbers = Numbers::new(3);
    let n = &mut numbers;
    let all = [attentions(n), gelus(n), norms(n), dropouts(n), biased_attentions(n)];
    all.into_iter().flatten().collect()
}

fn factors(site: u32, rate: f32, shape: &[usize]) -> Real {
    shaped(
        shape,
        dropout::mask(KEY, site, rate, shape.iter().product()).into_iter().map(f64::from).collect(),
    )
}

fn key() -> Input {
    Input::ints(&[1], &[KEY])
}

/// The bias of the keys has no effect, and a gradient of rounding only; so it is no input of the
/// samples.
const KEY_BIAS: f32 = 0.25;

fn attentions(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (batch, length, hidden, heads) in
        [(1, 1, 4, 1), (2, 5, 8, 2), (3, 17, 24, 2), (2, 19, 64, 2), (1, 33, 12, 3)]
    {
        for (rate, named) in [(0.0, true), (0.3, true), (0.3, false)] {
            let (queries, site) = (length, 7);
            // The texts get shorter one by one; each keeps its first token.
            let mask: Vec<i64> = (0..batch * length)
                .map(|i| i64::from(i % length == 0 || i % length + 2 * (i / length) < length))
                .collect();
            let mut witness = Witness {
                batch,
                length,
                queries,
                hidden,
                heads,
                mask: mask.clone(),
                factors: Vec::new(),
                factor: 1.0,
            };
            if rate > 0.0 {
                witness.factors =
                    factors(site, rate, &[batch, heads, queries, length]).into_iter().collect();
            }
            let one =
                attention_of_one(n, Witness { queries: 1, ..witness.clone() }, (rate, site), named);
            samples.push(one);
            let rows = [batch * length, hidden];
            let mut inputs =
                [n.real(&rows), n.real(&rows), n.real(&rows)].map(Input::real).to_vec();
            let mut mask = Input::ints(&[batch, length], &mask);
            if named {
                inputs = inputs.into_iter().map(|input| input.named(0, "T")).collect();
                mask = mask.named(0, "B").named(1, "L");
            }
            inputs.extend([mask, key()]);
            let has_bias = length % 2 == 1;
            if has_bias {
                inputs.extend([n.real(&[hidden]), n.real(&[hidden])].map(Input::real));
            }
            samples.push(Sample::new(
                "Attention",
                inputs,
                move |g, x| {
                    let at = DropoutAt { rate, site, source: DropoutSource::Key(x[4]) };
                    let key_bias = g.constant(Constant::F32(vec![hidden], vec![KEY_BIAS; hidden]));
                    let biases = match has_bias {
                        true => [Some(x[5]), Some(key_bias), Some(x[6])],
                        false => [None; 3],
                    };
                    let qkv = std::array::from_fn(|i| (x[i], biases[i]));
                    g.attention(qkv, x[3], Heads::plain(heads), at)
                },
                move |x| {
                    let biased = |i: usize, bias: usize| match has_bias {
                        true => binary(&x[i], &x[bias], |x, bias| x + bias),
                        false => x[i].clone(),
                    };
                    let shift = if has_bias { f64::from(KEY_BIAS) } else { 0.0 };
                    witness.forward(&biased(0, 5), &x[1].mapv(|x| x + shift), &biased(2, 6), None).0
                },
            ));
        }
    }
    samples
}

/// One query a text, the keys and values made of the rows by weights and biases.
fn attention_of_one(
    n: &mut Numbers,
    mut witness: Witness,
    (rate, site): (f32, u32),
    named: bool,
) -> Sample {
    let Witness { batch, length, hidden, heads, .. } = witness;
    if rate > 0.0 {
        witness.factors = factors(site, rate, &[batch, heads, length]).into_iter().collect();
    }
    let (square, vector) = ([hidden, hidden], [hidden]);
    let mut inputs =
        [n.real(&[batch, hidden]), n.real(&[batch * length, hidden])].map(Input::real).to_vec();
    let mut mask = Input::ints(&[batch, length], &witness.mask);
    if named {
        inputs =
            inputs.into_iter().zip(["B", "T"]).map(|(input, name)| input.named(0, name)).collect();
        mask = mask.named(0, "B").named(1, "L");
    }
    inputs.extend([n.real(&square), n.real(&square), n.real(&vector)].map(Input::real));
    inputs.extend([mask, key()]);
    Sample::new(
        "MatMul",
        inputs,
        move |g, x| {
            let at = DropoutAt { rate, site, source: DropoutSource::Key(x[6]) };
            let bias = g.constant(Constant::F32(vec![hidden], vec![KEY_BIAS; hidden]));
            let made = [(x[2], bias), (x[3], x[4])];
            g.attention_of_one(x[0], x[1], made, x[5], Heads::plain(heads), at)
        },
        move |x| {
            let product = |weight: &Real| matmul(&x[1], &weight.t().to_owned());
            let keys = product(&x[2]).mapv(|x| x + f64::from(KEY_BIAS));
            let values = binary(&product(&x[3]), &x[4], |x, bias| x + bias);
            witness.forward(&x[0], &keys, &values, None).0
        },
    )
}

/// Attention whose scores have a bias: of all texts or of each, of all heads or of each.
fn biased_attentions(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    let (batch, length, hidden, heads, site) = (2, 19, 24, 3, 5);
    let mask: Vec<i64> =
        (0..batch * length).map(|i| i64::from(i % length + 3 * (i / length) < length)).collect();
    for (rate, texts, of_heads) in [(0.0, 1, heads), (0.3, batch, heads), (0.0, 1, 1)] {
        let mut witness = Witness {
            batch,
            length,
            queries: length,
            hidden,
            heads,
            mask: mask.clone(),
            factors: Vec::new(),
            factor: 0.5,
        };
        let rows = [batch * length, hidden];
        let bias = [texts, of_heads, length, length];
        let heads_of = move |bias| Heads { count: heads, factor: 0.5, bias: Some(bias) };
        let mut inputs = [n.real(&rows), n.real(&rows), n.real(&rows)].map(Input::real).to_vec();
        inputs.extend([Input::ints(&[batch, length], &mask), key(), Input::real(n.real(&bias))]);
        let mut of_one = [n.real(&[batch, hidden]), n.real(&rows), n.real(&[hidden, hidden])]
            .map(Input::real)
            .to_vec();
        of_one.extend(inputs[3..].iter().cloned());
        let mut one = Witness { queries: 1, ..witness.clone() };
        if rate > 0.0 {
            let all = |queries| factors(site, rate, &[batch, heads, queries, length]);
            witness.factors = all(length).into_iter().collect();
            one.factors = factors(site, rate, &[batch, heads, length]).into_iter().collect();
        }
        samples.push(Sample::new(
            "Attention",
            inputs,
            move |g, x| {
                let at = DropoutAt { rate, site, source: DropoutSource::Key(x[4]) };
                let qkv = std::array::from_fn(|i| (x[i], None));
                g.attention(qkv, x[3], heads_of(x[5]), at)
            },
            move |x| witness.forward(&x[0], &x[1], &x[2], Some(&x[5])).0,
        ));
        samples.push(Sample::new(
            "MatMul",
            of_one,
            move |g, x| {
                let at = DropoutAt { rate, site, source: DropoutSource::Key(x[4]) };
                let bias = g.constant(Constant::F32(vec![hidden], vec![0.0; hidden]));
                let made = [(x[2], bias); 2];
                g.attention_of_one(x[0], x[1], made, x[3], heads_of(x[5]), at)
            },
            move |x| {
                let made = matmul(&x[1], &x[2].t().to_owned());
                one.forward(&x[0], &made, &made, Some(&x[5])).0
            },
        ));
    }
    samples
}

fn gelus(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for tanh in [false, true] {
        for shape in [[1, 1], [5, 17], [37, 150], [16, 128]] {
            let inputs = vec![
                Input::real(n.in_range(&shape, -4.0, 4.0)).named(0, "T"),
                Input::real(n.real(&shape[1..])),
            ];
            samples.push(Sample::new(
                "BiasGelu",
                inputs,
                move |g, x| g.bias_gelu(x[0], x[1], tanh),
                move |x| binary(&x[0], &x[1], |x, bias| gelu(x + bias, tanh)),
            ));
        }
    }
    samples
}

fn norms(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for [rows, width] in [[1, 8], [33, 17], [70, 40]] {
        for (has_bias, has_residual, rate) in [
            (false, false, 0.0),
            (true, false, 0.0),
            (false, true, 0.0),
            (true, true, 0.0),
            (true, true, 0.3),
            (false, false, 0.3),
            (true, false, 0.1),
        ] {
            let (site, epsilon) = (5, 1e-3f32);
            let mut inputs = vec![
                Input::real(n.real(&[rows, width])).named(0, "T"),
                Input::real(n.real(&[width])),
                Input::real(n.real(&[width])),
                key(),
            ];
            if has_bias {
                inputs.push(Input::real(n.real(&[width])));
            }
            if has_residual {
                inputs.push(Input::real(n.real(&[rows, width])).named(0, "T"));
            }
            let residual_place = 4 + usize::from(has_bias);
            let kept = (rate > 0.0).then(|| factors(site, rate, &[rows, width]));
            samples.push(Sample::new(
                "AddNorm",
                inputs,
                move |g, x| {
                    let (bias, residual) =
                        (has_bias.then(|| x[4]), has_residual.then(|| x[residual_place]));
                    g.add_norm(
                        x[0],
                        bias,
                        residual,
                        (x[1], x[2], epsilon),
                        DropoutAt { rate, site, source: DropoutSource::Key(x[3]) },
                    )
                },
                move |x| {
                    let mut sum = x[0].clone();
                    if has_bias {
                        sum = &sum + &x[4];
                    }
                    if let Some(kept) = &kept {
                        sum = &sum * kept;
                    }
                    if has_residual {
                        sum = &sum + &x[residual_place];
                    }
                    layer_norm(&sum, &x[1], &x[2], f64::from(epsilon))
                },
            ));
        }
    }
    samples
}

fn dropouts(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape in [&[1][..], &[3, 5], &[2, 3, 7], &[40_000]] {
        for rate in [0.1, 0.5] {
            let kept = factors(2, rate, shape);
            samples.push(Sample::new(
                "Dropout",
                vec![Input::real(n.real(shape)).named(0, "T"), key()],
                move |g, x| {
                    g.dropout(x[0], DropoutAt { rate, site: 2, source: DropoutSource::Key(x[1]) })
                },
                move |x| &x[0] * &kept,
            ));
        }
    }
    samples
}
