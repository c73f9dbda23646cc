//! Samples of the operators that only gradients and optimizers use.

use super::harness::{Input, KEY, Numbers, Sample};
use super::reference::{
    Attention as Witness, Real, binary, differences, flat, layer_norm, matmul, normalized, shaped,
};
use crate::engine::graph::op::fused::{
    AddNorm, AddNormGrad, Attention, AttentionGrad, BiasGeluGrad, ColumnSum, GatherGrad,
    SumSquares, WeightGrad,
};
use crate::engine::graph::op::gather::ScatterAdd;
use crate::engine::graph::optimizer::AdamW;
use crate::engine::kernel::dropout;

pub(in crate::engine) fn samples() -> Vec<Sample> {
    let mut numbers = Numbers::new(2);
    let n = &mut numbers;
    let all = [
        scatters(n),
        sums(n),
        attention_gradients(n),
        gelu_gradients(n),
        norm_gradients(n),
        optimizer_steps(n),
    ];
    all.into_iter().flatten().map(Sample::without_gradient).collect()
}

fn scatters(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (height, width, rows) in [
        (7, 5, &[3, 0, 3, 6, 3, -1][..]),
        (1, 1, &[0]),
        (4, 300, &[2, 1, 2, -4]),
        (40, 130, &[39; 20]),
    ] {
        let added = move |base: &Real, dy: &Real| {
            let mut y = base.clone();
            for (index, &row) in rows.iter().enumerate() {
                let row = if row < 0 { row + height as i64 } else { row } as usize;
                for column in 0..width {
                    y[[row, column]] += dy[[index, column]];
                }
            }
            y
        };
        let (table, dy) =
            (Input::real(n.real(&[height, width])), Input::real(n.real(&[rows.len(), width])));
        let columns = Input::ints(&[rows.len(), 1], rows);
        samples.push(Sample::new(
            "ScatterND",
            vec![table.clone(), columns, dy.clone()],
            |g, x| g.apply1(ScatterAdd, x),
            move |x| added(&x[0], &x[2]),
        ));
        let numbers = Input::ints(&[rows.len()], rows).named(0, "T");
        let sum = move |x: &[Real]| added(&Real::zeros(x[0].raw_dim()), &x[2]);
        samples.push(Sample::new(
            "GatherGrad",
            vec![table, numbers, dy.named(0, "T")],
            |g, x| g.apply1(GatherGrad, x),
            sum,
        ));
    }
    samples
}

fn sums(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape in [[1, 1], [5, 300], [40, 17], [1, 128]] {
        let x = Input::real(n.real(&shape)).named(0, "T");
        samples.push(Sample::new(
            "ColumnSum",
            vec![x],
            |g, x| g.apply1(ColumnSum, x),
            |x| x[0].sum_axis(ndarray::Axis(0)),
        ));
    }
    // Less and more than a tile, a panel, a part of the rows and a step of the sum, each with a
    // rest.
    for (depth, rows, columns) in
        [(1, 1, 1), (5, 3, 4), (1, 12, 32), (513, 13, 40), (1100, 7, 5), (30, 110, 150)]
    {
        for count in [1, WeightGrad::MOST] {
            let mut inputs = vec![Input::real(n.real(&[depth, columns])).named(0, "T")];
            inputs.extend((0..count).map(|_| Input::real(n.real(&[depth, rows])).named(0, "T")));
            samples.push(Sample::new(
                "WeightGrad",
                inputs,
                move |g, x| Ok(g.apply(WeightGrad, x)?[count - 1]),
                move |x| matmul(&x[count].t().to_owned(), &x[0]),
            ));
        }
    }
    for shape in [&[][..], &[1], &[3, 17], &[70_001], &[2, 65_536]] {
        samples.push(Sample::new(
            "SumSquares",
            vec![Input::real(n.real(shape))],
            |g, x| g.apply1(SumSquares, x),
            |x| shaped(&[1], vec![x[0].iter().map(|x| x * x).sum()]),
        ));
    }
    samples
}

fn attention_gradients(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for rate in [0.0, 0.3] {
        let (queries, site) = (5, 4);
        let mut witness = Witness {
            batch: 2,
            length: 5,
            queries,
            hidden: 12,
            heads: 3,
            mask: vec![1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
            factors: Vec::new(),
            factor: 1.5,
        };
        if rate > 0.0 {
            witness.factors = dropout::mask(KEY, site, rate, 2 * 3 * queries * 5)
                .into_iter()
                .map(f64::from)
                .collect();
        }
        let (q, k, v) = (n.real(&[2 * queries, 12]), n.real(&[10, 12]), n.real(&[10, 12]));
        let scores = n.real(&[2, 3, queries, 5]);
        let (query_bias, value_bias) = (n.real(&[12]), n.real(&[12]));
        let biased = |rows: &Real, bias: &Real| binary(rows, bias, |x, bias| x + bias);
        let probabilities = witness
            .forward(&biased(&q, &query_bias), &k, &biased(&v, &value_bias), Some(&scores))
            .1;
        // Those of a key in a row.
        let turned = |x: Real| x.permuted_axes(vec![0, 1, 3, 2]).as_standard_layout().into_owned();
        let probabilities = turned(probabilities);
        let dy = n.real(&[2 * queries, 12]);
        // Without effect, and with a gradient of rounding only.
        let key_bias = shaped(&[12], vec![0.0; 12]);
        let inputs =
            [q, k, v, query_bias, key_bias, value_bias, probabilities, dy].map(Input::real);
        let mask = Input::ints(&[2, 5], &witness.mask);
        let inputs = [&inputs[..], &[mask, Input::ints(&[1], &[KEY])]].concat();
        for output in [0, 1, 2, 3, 5, 6] {
            let (witness, scores) = (witness.clone(), scores.clone());
            let scale = 1.5 / 2.0;
            let (has_bias, learns_bias) = (true, output == 6);
            let op = Attention { heads: 3, scale, has_bias, learns_bias, rate, site };
            samples.push(Sample::new(
                "AttentionGrad",
                inputs.clone(),
                move |g, x| Ok(g.apply(AttentionGrad(op), x)?[output]),
                move |x| {
                    let from = if output == 6 { &scores } else { &x[output] };
                    let found = differences(from, &x[7], |moved| {
                        let mut operands = [&x[..6], std::slice::from_ref(&scores)].concat();
                        operands[output] = moved.clone();
                        let [q, k, v] = [0, 1, 2].map(|i| biased(&operands[i], &operands[i + 3]));
                        witness.forward(&q, &k, &v, Some(&operands[6])).0
                    });
                    if output == 6 { turned(found) } else { found }
                },
            ));
        }
    }
    samples
}

fn gelu_gradients(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape in [[1, 1], [5, 17], [37, 150]] {
        // A slope is any number to this operator; that it is GELU's is checked with `BiasGelu`.
        let inputs = vec![
            Input::real(n.real(&shape)).named(0, "T"),
            Input::real(n.real(&shape)).named(0, "T"),
        ];
        samples.push(Sample::new(
            "BiasGeluGrad",
            inputs.clone(),
            |g, x| Ok(g.apply(BiasGeluGrad, x)?[0]),
            |x| &x[0] * &x[1],
        ));
        samples.push(Sample::new(
            "BiasGeluGrad",
            inputs,
            |g, x| Ok(g.apply(BiasGeluGrad, x)?[1]),
            |x| (&x[0] * &x[1]).sum_axis(ndarray::Axis(0)),
        ));
    }
    samples
}

fn norm_gradients(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (rows, width, rate) in [(1, 8, 0.0), (35, 5, 0.0), (3, 17, 0.3)] {
        let (site, epsilon) = (9, 1e-3f32);
        let factors: Vec<f64> = match rate {
            0.0 => vec![1.0; rows * width],
            rate => dropout::mask(KEY, site, rate as f32, rows * width)
                .into_iter()
                .map(f64::from)
                .collect(),
        };
        let factors = shaped(&[rows, width], factors);
        let operands = [
            n.real(&[rows, width]),
            n.real(&[width]),
            n.real(&[rows, width]),
            n.real(&[width]),
            n.real(&[width]),
        ];
        let sum = &((&operands[0] + &operands[1]) * &factors) + &operands[2];
        let (hat, inverse) = normalized(&sum, f64::from(epsilon));
        let dy = n.real(&[rows, width]);
        let inputs = [
            &[dy.clone(), hat, shaped(&[rows], inverse), operands[3].clone()].map(Input::real)[..],
            &[Input::ints(&[1], &[KEY])],
        ]
        .concat();
        for output in 0..5 {
            let (operands, factors, dy) = (operands.clone(), factors.clone(), dy.clone());
            samples.push(Sample::new(
                "AddNormGrad",
                inputs.clone(),
                move |g, x| {
                    Ok(g.apply(
                        AddNormGrad(AddNorm {
                            has_bias: true,
                            has_residual: true,
                            epsilon,
                            rate: rate as f32,
                            site,
                        }),
                        x,
                    )?[output])
                },
                move |_| {
                    differences(&operands[output], &dy, |moved| {
                        let mut o = operands.clone();
                        o[output] = moved.clone();
                        layer_norm(
                            &(&((&o[0] + &o[1]) * &factors) + &o[2]),
                            &o[3],
                            &o[4],
                            f64::from(epsilon),
                        )
                    })
                },
            ));
        }
    }
    samples
}

fn optimizer_steps(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape in [&[1][..], &[3, 17], &[40_001]] {
        let inputs = vec![
            Input::real(n.real(shape)),
            Input::real(n.real(shape)),
            Input::real(n.real(shape)),
            Input::real(n.in_range(shape, 0.01, 1.0)),
            Input::real(shaped(&[1], vec![0.25])),
            Input::real(shaped(&[1], vec![f64::from(0.005f32)])),
            Input::real(shaped(&[1], vec![0.125])),
            Input::real(shaped(&[2], [0.271f32, 0.054_700_1].map(f64::from).to_vec())),
        ];
        let op = AdamW::default();
        for output in 0..3 {
            let step = move |x: &[Real]| {
                let [rate, decay] = [x[5][0], x[6][0]];
                let [correction1, root_correction2] = [x[7][0], x[7][1]];
                let gradient = &x[1] * x[4][0];
                let first = &x[2] * 0.9 + &gradient * 0.1;
                let second = &x[3] * 0.999 + &(&gradient * &gradient) * 0.001;
                let direction =
                    &first / correction1 / &(second.mapv(f64::sqrt) / root_correction2 + 1e-8);
                let parameter = &x[0] * (1.0 - rate * decay) - direction * rate;
                let new = [parameter, first, second];
                shaped(x[0].shape(), flat(&new[output]))
            };
            samples.push(Sample::new(
                "AdamW",
                inputs.clone(),
                move |g, x| Ok(g.apply(op, x)?[output]),
                step,
            ));
        }
    }
    samples
}
