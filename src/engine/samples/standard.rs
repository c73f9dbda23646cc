//! Samples of the standard's operators.

use ndarray::{Axis, Slice as Part};

use super::harness::{Input, Numbers, Sample};
use super::reference::{
    Real, binary, erf64, flat, gelu, layer_norm, matmul, shaped, softmax, spread,
};
use crate::engine::graph::fact::{DType, Dim};
use crate::engine::graph::graph::{Constant, Graph, Var};
use crate::engine::graph::op::arithmetic::Arithmetic;
use crate::engine::graph::op::pointwise::Pointwise;
use crate::engine::graph::op::reduce::{Reduce, Reduction};

pub(in crate::engine) fn samples() -> Vec<Sample> {
    let mut numbers = Numbers::new(1);
    let n = &mut numbers;
    [elementwise(n), rows(n), products(n), layout(n), reductions(n), parts(n), choices(n)]
        .into_iter()
        .flatten()
        .collect()
}

type Two = fn(f64, f64) -> f64;
type One = fn(f64) -> f64;

fn elementwise(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    let twos: [(&'static str, Arithmetic, Two); 5] = [
        ("Add", Arithmetic::Add, |a, b| a + b),
        ("Sub", Arithmetic::Sub, |a, b| a - b),
        ("Mul", Arithmetic::Mul, |a, b| a * b),
        ("Div", Arithmetic::Div, |a, b| a / b),
        ("Min", Arithmetic::Min, f64::min),
    ];
    let shapes: [(&[usize], &[usize]); 9] = [
        (&[3, 4], &[3, 4]),
        (&[2, 3, 5], &[5]),
        (&[2, 1, 5], &[3, 1]),
        (&[4], &[]),
        (&[], &[2, 3]),
        (&[1, 7], &[6, 1]),
        (&[33, 17], &[17]),
        (&[2, 3], &[1]),
        (&[1, 1], &[1]),
    ];
    for (name, op, f) in twos {
        let mut add = |inputs| {
            let sample = Sample::new(
                name,
                inputs,
                move |g, x| g.apply1(op, x),
                move |x| binary(&x[0], &x[1], f),
            );
            samples.push(if matches!(op, Arithmetic::Min) {
                sample.without_gradient()
            } else {
                sample
            });
        };
        for (a, b) in shapes {
            add(vec![Input::real(n.real(a)), Input::real(n.off_zero(b))]);
        }
        add(vec![Input::real(n.real(&[5, 8])).named(0, "B"), Input::real(n.off_zero(&[8]))]);
        add(vec![
            Input::real(n.real(&[5, 1])).named(0, "B"),
            Input::real(n.off_zero(&[5, 3])).named(0, "B"),
        ]);
    }
    let ones: [(&'static str, Pointwise, One); 10] = [
        ("Neg", Pointwise::Neg, |x| -x),
        ("Sqrt", Pointwise::Sqrt, f64::sqrt),
        ("Exp", Pointwise::Exp, f64::exp),
        ("Log", Pointwise::Log, f64::ln),
        ("Tanh", Pointwise::Tanh, f64::tanh),
        ("Erf", Pointwise::Erf, erf64),
        ("Relu", Pointwise::Relu, |x| x.max(0.0)),
        ("Reciprocal", Pointwise::Reciprocal, f64::recip),
        ("Sin", Pointwise::Sin, f64::sin),
        ("Cos", Pointwise::Cos, f64::cos),
    ];
    let shapes: [&[usize]; 4] = [&[], &[1], &[37], &[3, 1, 5]];
    for (name, op, f) in ones {
        for shape in shapes {
            let positive = matches!(op, Pointwise::Sqrt | Pointwise::Log);
            let x = if positive { n.in_range(shape, 0.3, 2.0) } else { n.off_zero(shape) };
            samples.push(Sample::new(
                name,
                vec![Input::real(x)],
                move |g, x| g.apply1(op, x),
                move |x| x[0].mapv(f),
            ));
        }
    }
    for tanh in [false, true] {
        for shape in [&[][..], &[5, 33], &[1, 1, 4]] {
            let x = Input::real(n.in_range(shape, -4.0, 4.0));
            samples.push(Sample::new(
                "Gelu",
                vec![x],
                move |g, x| g.gelu(x[0], tanh),
                move |x| x[0].mapv(|x| gelu(x, tanh)),
            ));
        }
    }
    samples
}

fn rows(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for shape in [&[7][..], &[1, 1], &[3, 17], &[2, 3, 33]] {
        for scale in [1.0, 8.0] {
            let x = Input::real(n.in_range(shape, -scale, scale));
            samples.push(Sample::new(
                "Softmax",
                vec![x.clone()],
                |g, x| g.softmax(x[0]),
                |x| softmax(&x[0]),
            ));
            samples.push(Sample::new(
                "LogSoftmax",
                vec![x],
                |g, x| g.log_softmax(x[0]),
                |x| softmax(&x[0]).mapv(f64::ln),
            ));
        }
    }
    // ONNX Runtime 1.21 refuses rows of one element, whose deviation is 0.
    for shape in [&[3, 8][..], &[2, 3, 5], &[1, 33], &[4, 2], &[33, 17]] {
        let width = shape[shape.len() - 1];
        let mut inputs = vec![
            Input::real(n.real(shape)),
            Input::real(n.real(&[width])),
            Input::real(n.real(&[width])),
        ];
        if shape.len() == 2 {
            inputs[0] = inputs[0].clone().named(0, "T");
        }
        let op = crate::engine::graph::op::normalize::LayerNormalization { epsilon: 1e-3 };
        samples.push(Sample::new(
            "LayerNormalization",
            inputs,
            move |g, x| Ok(g.apply(op, x)?[0]),
            |x| layer_norm(&x[0], &x[1], &x[2], f64::from(1e-3f32)),
        ));
    }
    samples
}

fn products(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[3, 4], &[4, 5]),
        (&[1, 7], &[7, 1]),
        (&[2, 3, 4], &[2, 4, 5]),
        (&[1, 3, 4], &[2, 4, 5]),
        (&[2, 1, 17, 33], &[1, 3, 33, 5]),
        (&[33, 17], &[17, 40]),
    ];
    for (a, b) in shapes {
        let inputs = vec![Input::real(n.real(a)), Input::real(n.real(b))];
        samples.push(Sample::new(
            "MatMul",
            inputs,
            |g, x| g.matmul(x[0], x[1]),
            |x| matmul(&x[0], &x[1]),
        ));
    }
    let named = vec![
        Input::real(n.real(&[3, 2, 4])).named(0, "B"),
        Input::real(n.real(&[3, 4, 2])).named(0, "B"),
    ];
    samples.push(Sample::new(
        "MatMul",
        named,
        |g, x| g.matmul(x[0], x[1]),
        |x| matmul(&x[0], &x[1]),
    ));
    let added: [Option<&[usize]>; 6] =
        [None, Some(&[5]), Some(&[3, 5]), Some(&[1, 5]), Some(&[3, 1]), Some(&[])];
    for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
        for (index, shape) in added.iter().enumerate() {
            let mut a = Input::real(n.real(if transpose_a { &[4, 3] } else { &[3, 4] }));
            if index == 1 {
                a = a.named(usize::from(transpose_a), "T");
            }
            let mut inputs =
                vec![a, Input::real(n.real(if transpose_b { &[5, 4] } else { &[4, 5] }))];
            inputs.extend(shape.map(|shape| Input::real(n.real(shape))));
            let turned =
                |x: &Real, transpose: bool| if transpose { x.t().to_owned() } else { x.clone() };
            samples.push(Sample::new(
                "Gemm",
                inputs,
                move |g, x| g.gemm(x[0], x[1], x.get(2).copied(), transpose_a, transpose_b),
                move |x| {
                    let product = matmul(&turned(&x[0], transpose_a), &turned(&x[1], transpose_b));
                    x.get(2).map_or(product.clone(), |c| binary(&product, c, |a, b| a + b))
                },
            ));
        }
    }
    samples
}

fn layout(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (shape, order) in [
        (&[2, 3, 4][..], &[2, 0, 1][..]),
        (&[2, 3, 4], &[0, 2, 1]),
        (&[5], &[0]),
        (&[2, 1, 3, 4], &[1, 3, 0, 2]),
    ] {
        samples.push(Sample::new(
            "Transpose",
            vec![Input::real(n.real(shape)).named(0, "B")],
            move |g, x| g.transpose(x[0], order),
            move |x| shaped_like_transposed(&x[0], order),
        ));
    }
    let reshapes: [(&[usize], &[i64], &[usize]); 5] = [
        (&[3, 4], &[-1, 6], &[2, 6]),
        (&[3, 4], &[0, 2, -1], &[3, 2, 2]),
        (&[1], &[], &[]),
        (&[2, 3, 4], &[24], &[24]),
        (&[], &[1, 1], &[1, 1]),
    ];
    for (shape, target, result) in reshapes {
        let x = Input::real(n.real(shape));
        samples.push(Sample::new(
            "Reshape",
            vec![x],
            move |g, x| g.reshape(x[0], target),
            move |x| shaped(result, flat(&x[0])),
        ));
    }
    let rows = vec![
        Input::real(n.real(&[6, 5])).named(0, "T"),
        Input::ints(&[2, 3], &[0; 6]).named(0, "B").named(1, "L"),
    ];
    samples.push(Sample::new(
        "Reshape",
        rows,
        |g, x| g.split_rows(x[0], x[1]),
        |x| shaped(&[2, 3, 5], flat(&x[0])),
    ));
    let texts = Input::real(n.real(&[2, 3, 1])).named(0, "B").named(1, "L");
    samples.push(Sample::new(
        "Reshape",
        vec![texts.clone()],
        |g, x| g.squeeze(x[0], &[2]),
        |x| shaped(&[2, 3], flat(&x[0])),
    ));
    samples.push(Sample::new(
        "Reshape",
        vec![texts],
        |g, x| g.unsqueeze(x[0], &[1]),
        |x| shaped(&[2, 1, 3, 1], flat(&x[0])),
    ));
    let expands: [(&[usize], &[usize]); 3] =
        [(&[3, 1], &[3, 4]), (&[4], &[2, 3, 4]), (&[], &[2, 2])];
    for (shape, result) in expands {
        samples.push(Sample::new(
            "Expand",
            vec![Input::real(n.real(shape))],
            move |g, x| {
                let sizes: Vec<i64> = result.iter().map(|&size| size as i64).collect();
                let sizes = g.constant(Constant::ints(&sizes));
                g.expand(x[0], sizes, result.iter().map(|&size| Dim::Fixed(size)).collect())
            },
            move |x| spread(&x[0], result),
        ));
    }
    let ints = Input::ints(&[2, 3], &[-2, 0, 1, 7, 30_000, -5]);
    samples.push(
        Sample::new("Cast", vec![ints], |g, x| g.cast(x[0], DType::F32), |x| x[0].clone())
            .without_gradient(),
    );
    let floats = Input::real(n.in_range(&[7], -9.0, 9.0));
    let back = |g: &mut Graph, x: &[Var]| {
        let whole = g.cast(x[0], DType::I64)?;
        g.cast(whole, DType::F32)
    };
    samples.push(
        Sample::new("Cast", vec![floats], back, |x| x[0].mapv(f64::trunc)).without_gradient(),
    );
    for shape in [&[4, 1, 3][..], &[6]] {
        let sizes = |g: &mut Graph, x: &[Var]| {
            let sizes = g.shape(x[0])?;
            g.cast(sizes, DType::F32)
        };
        let reference = move |_: &[Real]| {
            shaped(&[shape.len()], shape.iter().map(|&size| size as f64).collect())
        };
        samples.push(
            Sample::new("Shape", vec![Input::real(n.real(shape)).named(0, "B")], sizes, reference)
                .without_gradient(),
        );
    }
    samples
}

fn shaped_like_transposed(x: &Real, order: &[usize]) -> Real {
    let turned = x.clone().permuted_axes(order.to_vec());
    shaped(turned.shape(), turned.iter().copied().collect())
}

fn reductions(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    let cases: [(&[usize], &[i64]); 8] = [
        (&[3, 4], &[]),
        (&[], &[]),
        (&[3, 4], &[0]),
        (&[3, 4], &[-1]),
        (&[2, 3, 4], &[1]),
        (&[2, 3, 4], &[-1, 0]),
        (&[2, 3, 4], &[2, 1]),
        (&[33, 17], &[0]),
    ];
    for (kind, name) in [
        (Reduction::Sum, "ReduceSum"),
        (Reduction::Mean, "ReduceMean"),
        (Reduction::Max, "ReduceMax"),
        (Reduction::SumSquare, "ReduceSumSquare"),
    ] {
        let mut add = |input: Input, rank: usize, axes: &'static [i64], keep_dims: bool| {
            let op = Reduce { kind, axes: axes.to_vec(), keep_dims };
            let sample = Sample::new(
                name,
                vec![input],
                move |g, x| g.apply1(op.clone(), x),
                move |x| {
                    let reduced: Vec<usize> = (0..rank)
                        .filter(|&axis| {
                            axes.is_empty()
                                || axes.contains(&(axis as i64))
                                || axes.contains(&(axis as i64 - rank as i64))
                        })
                        .collect();
                    let count: usize = reduced.iter().map(|&axis| x[0].shape()[axis]).product();
                    let mut y = x[0].mapv(|x| if kind == Reduction::SumSquare { x * x } else { x });
                    for &axis in reduced.iter().rev() {
                        y = match kind {
                            Reduction::Max => y.fold_axis(Axis(axis), f64::MIN, |a, b| a.max(*b)),
                            _ => y.sum_axis(Axis(axis)),
                        };
                        if keep_dims {
                            y = y.insert_axis(Axis(axis));
                        }
                    }
                    if kind == Reduction::Mean { y / count as f64 } else { y }
                },
            );
            samples.push(if kind == Reduction::SumSquare {
                sample.without_gradient()
            } else {
                sample
            });
        };
        for keep_dims in [false, true] {
            for (shape, axes) in cases {
                add(Input::real(n.real(shape)), shape.len(), axes, keep_dims);
            }
            add(Input::real(n.real(&[3, 5, 2])).named(0, "B"), 3, &[1], keep_dims);
        }
        if kind != Reduction::Mean {
            add(Input::real(n.real(&[3, 5, 2])).named(0, "B").named(1, "L"), 3, &[1], false);
        }
    }
    samples
}

fn parts(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (shape, axis, start, end) in [
        (&[5][..], 0, 1, 4),
        (&[3, 4], 0, 0, 1),
        (&[3, 4], 1, 3, 4),
        (&[2, 3, 4], 1, 0, 3),
        (&[2, 3, 4], 2, 1, 3),
    ] {
        for named in [false, true] {
            let x = Input::real(n.real(shape));
            let x = if named { x.named(0, "B") } else { x };
            samples.push(Sample::new(
                "Slice",
                vec![x],
                move |g, x| g.slice(x[0], axis, start, end),
                move |x| x[0].slice_axis(Axis(axis), Part::from(start..end)).to_owned(),
            ));
            let x = Input::real(n.real(shape));
            samples.push(Sample::new(
                "Slice",
                vec![if named { x.named(axis, "B") } else { x }],
                move |g, x| g.slice_from(x[0], axis, start),
                move |x| x[0].slice_axis(Axis(axis), Part::from(start..)).to_owned(),
            ));
        }
    }
    let joins: [(&[&[usize]], usize); 4] = [
        (&[&[2], &[3], &[1]], 0),
        (&[&[2, 3], &[2, 1]], 1),
        (&[&[1, 3], &[4, 3]], 0),
        (&[&[2, 2]], 1),
    ];
    for (shapes, axis) in joins {
        let mut inputs: Vec<Input> =
            shapes.iter().map(|shape| Input::real(n.real(shape))).collect();
        // The last one's size need not be known.
        let last = inputs.pop().map(|last| last.named(axis, "B"));
        inputs.extend(last);
        samples.push(Sample::new(
            "Concat",
            inputs,
            move |g, x| g.concat(x, axis),
            move |x| {
                let views: Vec<_> = x.iter().map(|x| x.view()).collect();
                ndarray::concatenate(Axis(axis), &views).expect("the sample's shapes go together")
            },
        ));
    }
    let gathers: [(&[usize], &[i64]); 4] = [
        (&[7, 5], &[3, 0, 3, 6, 3, 0, 1]),
        (&[1, 4], &[0, 0]),
        (&[4, 300], &[2, 1, 2]),
        (&[5, 3], &[-1, 4, -5, 0]),
    ];
    for (table, rows) in gathers {
        let inputs =
            vec![Input::real(n.real(table)), Input::ints(&[rows.len()], rows).named(0, "T")];
        samples.push(Sample::new(
            "Gather",
            inputs,
            |g, x| g.gather(x[0], x[1]),
            |x| gathered(&x[0], &x[1]),
        ));
    }
    samples
}

fn gathered(table: &Real, rows: &Real) -> Real {
    let width = table.shape()[1];
    let height = table.shape()[0] as f64;
    let row = |row: f64| (if row < 0.0 { row + height } else { row }) as usize;
    let values = rows
        .iter()
        .flat_map(|&number| (0..width).map(move |column| table[[row(number), column]]))
        .collect();
    shaped(&[rows.len(), width], values)
}

fn choices(n: &mut Numbers) -> Vec<Sample> {
    let mut samples = Vec::new();
    #[expect(clippy::type_complexity, reason = "a table of samples")]
    let cases: [(&[usize], &[i64], &[usize], &[usize]); 3] = [
        (&[4], &[1, 0, 0, 1], &[4], &[4]),
        (&[3, 1], &[0, 1, 1], &[3, 4], &[4]),
        (&[2], &[1, 0], &[], &[3, 2]),
    ];
    for (shape, marks, yes, no) in cases {
        let inputs =
            vec![Input::ints(shape, marks), Input::real(n.real(yes)), Input::real(n.real(no))];
        samples.push(Sample::new(
            "Where",
            inputs,
            |g, x| {
                let zero = g.constant(Constant::ints(&[0]));
                let condition = g.equal(x[0], zero)?;
                g.choose(condition, x[1], x[2])
            },
            |x| {
                let yes =
                    binary(&x[0], &x[1], |mark, yes| if mark == 0.0 { yes } else { f64::NAN });
                binary(&yes, &x[2], |yes, no| if yes.is_nan() { no } else { yes })
            },
        ));
    }
    for (a, left, b, right) in [
        (&[5][..], &[1, 2, 3, 4, 0][..], &[5][..], &[1, 0, 3, 9, 0][..]),
        (&[2, 1], &[4, 7], &[3], &[7, 4, 4]),
    ] {
        let inputs = vec![Input::ints(a, left), Input::ints(b, right)];
        let same = |x: &[Real]| binary(&x[0], &x[1], |a, b| f64::from(u8::from(a == b)));
        let equal = |g: &mut Graph, x: &[Var]| {
            let equal = g.equal(x[0], x[1])?;
            g.cast(equal, DType::F32)
        };
        let unequal = |g: &mut Graph, x: &[Var]| {
            let equal = g.equal(x[0], x[1])?;
            let unequal = g.not(equal)?;
            g.cast(unequal, DType::F32)
        };
        samples.push(Sample::new("And", inputs.clone(), equal, same).without_gradient());
        let least = |x: &[Real]| binary(&x[0], &x[1], |a, b| f64::from(u8::from(a >= b)));
        let most = |x: &[Real]| binary(&x[0], &x[1], |a, b| f64::from(u8::from(a <= b)));
        let is_least = |g: &mut Graph, x: &[Var]| {
            let least = g.greater_or_equal(x[0], x[1])?;
            g.cast(least, DType::F32)
        };
        let is_most = |g: &mut Graph, x: &[Var]| {
            let most = g.less_or_equal(x[0], x[1])?;
            g.cast(most, DType::F32)
        };
        samples.push(
            Sample::new("GreaterOrEqual", inputs.clone(), is_least, least).without_gradient(),
        );
        samples.push(Sample::new("LessOrEqual", inputs.clone(), is_most, most).without_gradient());
        samples.push(
            Sample::new("Not", inputs, unequal, move |x| same(x).mapv(|x| 1.0 - x))
                .without_gradient(),
        );
    }
    for (shape, axis, absolute) in
        [(&[6][..], 0, 0), (&[3, 4], 1, 1), (&[3, 4], -1, 1), (&[2, 3, 2], 1, 1)]
    {
        let reference = move |x: &[Real]| {
            let mut y = x[0].clone();
            y.accumulate_axis_inplace(Axis(absolute), |&before, value| *value += before);
            y
        };
        let x = Input::real(n.real(shape)).named(0, "B");
        samples.push(
            Sample::new("CumSum", vec![x], move |g, x| g.cumulative_sum(x[0], axis), reference)
                .without_gradient(),
        );
    }
    for (shape, k) in [(&[5][..], 1), (&[4, 7], 3), (&[2, 3, 6], 6)] {
        // Rounded, so that there are equal ones.
        let x = n.real(shape).mapv(|value| (value * 2.0).round());
        let x = Input::real(x).named(0, if shape.len() > 1 { "B" } else { "N" });
        // The values, and behind them their places.
        let build = move |g: &mut Graph, x: &[Var]| {
            let (values, places) = g.top_k(x[0], k)?;
            let places = g.cast(places, DType::F32)?;
            g.concat(&[values, places], g.fact(values).rank() - 1)
        };
        let reference = move |x: &[Real]| {
            let rows = x[0].rows();
            let found = rows.into_iter().flat_map(|row| {
                let mut order: Vec<usize> = (0..row.len()).collect();
                order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
                order.truncate(k);
                let values: Vec<f64> = order.iter().map(|&place| row[place]).collect();
                [values, order.iter().map(|&place| place as f64).collect()].concat()
            });
            let mut shape = x[0].shape().to_vec();
            if let Some(last) = shape.last_mut() {
                *last = 2 * k;
            }
            shaped(&shape, found.collect())
        };
        samples.push(Sample::new("TopK", vec![x], build, reference).without_gradient());
    }
    samples
}
