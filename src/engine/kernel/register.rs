//! The kernels as ONNX Runtime's custom operators.
#![expect(unsafe_code, reason = "parts of one result are written by several threads at once")]

use ort::operator::{
    BoxedKernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;

use super::attention_operators::{attention_grad_kernel, attention_kernel};
use super::operands::{
    Site, agree, float, floats, floats_mut, given, int, ints, kernel, made, missing, optional,
};
use super::parallel::{Shared, for_each, range, sum_parts, with_common_scratch};
use super::product::{Tile, WeightGrad};
use super::{adamw, dropout, gelu, norm, sums};
use crate::engine::graph::op::contract::DOMAIN;

/// Returns the domain with all our operators, for one session.
pub fn domain() -> ort::Result<OperatorDomain> {
    let mut domain = OperatorDomain::new(DOMAIN)?;
    for custom in [
        Custom { name: "Attention", inputs: "ffffffif?i", outputs: "ff", kernel: attention_kernel },
        Custom {
            name: "AttentionGrad",
            inputs: "ffffffffi?i",
            outputs: "ffffff?f",
            kernel: attention_grad_kernel,
        },
        Custom { name: "BiasGelu", inputs: "ff", outputs: "ff", kernel: gelu_kernel },
        Custom { name: "BiasGeluGrad", inputs: "ff", outputs: "ff", kernel: gelu_grad_kernel },
        Custom { name: "AddNorm", inputs: "fffff?i", outputs: "fff", kernel: norm_kernel },
        Custom {
            name: "AddNormGrad",
            inputs: "ffff?i",
            outputs: "fffff",
            kernel: norm_grad_kernel,
        },
        Custom { name: "Dropout", inputs: "fi", outputs: "f", kernel: dropout_kernel },
        Custom { name: "ColumnSum", inputs: "f", outputs: "f", kernel: column_sum_kernel },
        Custom {
            name: "WeightGrad",
            inputs: "ff?f?f",
            outputs: "f?f?f",
            kernel: weight_grad_kernel,
        },
        Custom { name: "GatherGrad", inputs: "fif", outputs: "f", kernel: gather_grad_kernel },
        Custom { name: "AdamW", inputs: "ffffffff", outputs: "fff", kernel: adamw_kernel },
        Custom { name: "SumSquares", inputs: "f", outputs: "f", kernel: sum_squares_kernel },
    ] {
        domain = domain.add(custom)?;
    }
    Ok(domain)
}

/// One operator, described by data.
struct Custom {
    name: &'static str,
    /// A letter for each input: `f` for f32, `i` for i64; a `?` before it marks an optional input.
    inputs: &'static str,
    /// The outputs in the same letters.
    outputs: &'static str,
    kernel: fn(&KernelContext<'_>) -> ort::Result<BoxedKernel<'static>>,
}

/// Returns the type of each letter, and whether the tensor is optional.
fn operands(letters: &str) -> impl Iterator<Item = (TensorElementType, bool)> {
    let mut optional = false;
    letters.chars().filter_map(move |letter| {
        let element = match letter {
            'f' => TensorElementType::Float32,
            'i' => TensorElementType::Int64,
            _ => {
                optional = true;
                return None;
            }
        };
        Some((element, std::mem::take(&mut optional)))
    })
}

impl Operator for Custom {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        operands(self.inputs).map(|(element, optional)| match optional {
            true => OperatorInput::optional(element),
            false => OperatorInput::required(element),
        })
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        operands(self.outputs).map(|(element, optional)| match optional {
            true => OperatorOutput::optional(element),
            false => OperatorOutput::required(element),
        })
    }

    fn create_kernel<'attr>(
        &self,
        context: &KernelContext<'attr>,
    ) -> ort::Result<BoxedKernel<'attr>> {
        (self.kernel)(context)
    }
}

fn gelu_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let tanh = int(context, "tanh")? != 0;
    Ok(kernel(move |ctx| {
        let (x, bias) = (given(ctx, 0)?, given(ctx, 1)?);
        let ((shape, x), (_, bias)) = (floats(&x)?, floats(&bias)?);
        agree("BiasGelu", shape.len() == 2 && bias.len() == shape[1])?;
        let (mut y, mut slope) = (made(ctx, 0, &shape)?, made(ctx, 1, &shape)?);
        let (y, slope) = (Shared::new(floats_mut(&mut y)?), Shared::new(floats_mut(&mut slope)?));
        for_each(ctx, shape[0].div_ceil(gelu::ROWS), |part| {
            let rows = range(part, gelu::ROWS, shape[0]);
            let here = rows.start * shape[1]..rows.end * shape[1];
            // SAFETY: parts are disjoint ranges of rows.
            let (y, slope) = unsafe { (y.range(here.clone()), slope.range(here.clone())) };
            gelu::forward(&x[here], bias, tanh, y, slope);
        })
    }))
}

fn gelu_grad_kernel(_: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    Ok(kernel(|ctx| {
        let (dy, slope) = (given(ctx, 0)?, given(ctx, 1)?);
        let ((shape, dy), (_, slope)) = (floats(&dy)?, floats(&slope)?);
        agree("BiasGeluGrad", shape.len() == 2 && slope.len() == dy.len())?;
        let (mut dx, mut db) = (made(ctx, 0, &shape)?, made(ctx, 1, &shape[1..])?);
        let dx = Shared::new(floats_mut(&mut dx)?);
        let sums = sum_parts(ctx, shape[0], gelu::ROWS, shape[1], |rows, sums| {
            let here = rows.start * shape[1]..rows.end * shape[1];
            // SAFETY: parts are disjoint ranges of rows.
            let dx = unsafe { dx.range(here.clone()) };
            gelu::backward(&dy[here.clone()], &slope[here], dx, sums);
        })?;
        floats_mut(&mut db)?.copy_from_slice(&sums);
        Ok(())
    }))
}

fn norm_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let (site, epsilon) = (Site::read(context)?, float(context, "epsilon")?);
    let (has_bias, has_residual) =
        (int(context, "has_bias")? != 0, int(context, "has_residual")? != 0);
    Ok(kernel(move |ctx| {
        let (x, bias, residual, gamma, beta) =
            (given(ctx, 0)?, given(ctx, 1)?, given(ctx, 2)?, given(ctx, 3)?, given(ctx, 4)?);
        let key = site.key(optional(ctx, 5)?.as_ref())?;
        let ((shape, x), (_, gamma), (_, beta)) = (floats(&x)?, floats(&gamma)?, floats(&beta)?);
        let (bias, residual) = (floats(&bias)?.1, floats(&residual)?.1);
        let (bias, residual) = (has_bias.then_some(bias), has_residual.then_some(residual));
        let is_column = |vector: &[f32]| vector.len() == gamma.len();
        agree(
            "AddNorm",
            shape.len() == 2
                && shape[1] == gamma.len()
                && is_column(beta)
                && bias.is_none_or(is_column),
        )?;
        agree("AddNorm", residual.is_none_or(|residual| residual.len() == x.len()))?;
        let (mut y, mut normed, mut inverse) =
            (made(ctx, 0, &shape)?, made(ctx, 1, &shape)?, made(ctx, 2, &shape[..1])?);
        let (y, normed, inverse) = (
            Shared::new(floats_mut(&mut y)?),
            Shared::new(floats_mut(&mut normed)?),
            Shared::new(floats_mut(&mut inverse)?),
        );
        for_each(ctx, shape[0].div_ceil(norm::ROWS), |part| {
            let rows = range(part, norm::ROWS, shape[0]);
            let here = rows.start * shape[1]..rows.end * shape[1];
            let args = norm::Forward { bias, gamma, beta, epsilon, key, first_row: rows.start };
            // SAFETY: parts are disjoint ranges of rows.
            let (y, normed, inverse) =
                unsafe { (y.range(here.clone()), normed.range(here.clone()), inverse.range(rows)) };
            norm::forward(
                &args,
                &x[here.clone()],
                residual.map(|residual| &residual[here]),
                y,
                normed,
                inverse,
            );
        })
    }))
}

fn norm_grad_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let site = Site::read(context)?;
    Ok(kernel(move |ctx| {
        let (dy, normed, inverse, gamma) =
            (given(ctx, 0)?, given(ctx, 1)?, given(ctx, 2)?, given(ctx, 3)?);
        let key = site.key(optional(ctx, 4)?.as_ref())?;
        let ((shape, dy), (_, normed), (_, inverse), (_, gamma)) =
            (floats(&dy)?, floats(&normed)?, floats(&inverse)?, floats(&gamma)?);
        agree(
            "AddNormGrad",
            shape.len() == 2
                && shape[1] == gamma.len()
                && normed.len() == dy.len()
                && inverse.len() == shape[0],
        )?;
        let width = shape[1];
        let (mut dx, mut d_residual) = (made(ctx, 0, &shape)?, made(ctx, 2, &shape)?);
        let (dx, d_residual) =
            (Shared::new(floats_mut(&mut dx)?), Shared::new(floats_mut(&mut d_residual)?));
        let sums = sum_parts(ctx, shape[0], norm::ROWS, 3 * width, |rows, sums| {
            let here = rows.start * width..rows.end * width;
            // SAFETY: parts are disjoint ranges of rows.
            let (dx, d_residual) =
                unsafe { (dx.range(here.clone()), d_residual.range(here.clone())) };
            norm::backward(
                &dy[here.clone()],
                &normed[here],
                &inverse[rows.clone()],
                gamma,
                key,
                rows.start,
                dx,
                d_residual,
                sums,
            );
        })?;
        for (index, output) in [1, 3, 4].into_iter().enumerate() {
            floats_mut(&mut made(ctx, output, &[width])?)?
                .copy_from_slice(&sums[index * width..(index + 1) * width]);
        }
        Ok(())
    }))
}

fn dropout_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let site = Site::read(context)?;
    Ok(kernel(move |ctx| {
        let x = given(ctx, 0)?;
        let key = site.key(optional(ctx, 1)?.as_ref())?;
        let (shape, x) = floats(&x)?;
        let mut y = made(ctx, 0, &shape)?;
        let y = Shared::new(floats_mut(&mut y)?);
        for_each(ctx, x.len().div_ceil(dropout::PART), |part| {
            let here = range(part, dropout::PART, x.len());
            // SAFETY: parts are disjoint.
            let y = unsafe { y.range(here.clone()) };
            match key {
                Some(key) => dropout::apply(&x[here.clone()], key, here.start, y),
                None => y.copy_from_slice(&x[here]),
            }
        })
    }))
}

fn column_sum_kernel(_: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    Ok(kernel(|ctx| {
        let x = given(ctx, 0)?;
        let (shape, x) = floats(&x)?;
        agree("ColumnSum", shape.len() == 2)?;
        let mut y = made(ctx, 0, &shape[1..])?;
        let total = sum_parts(ctx, shape[0], sums::ROWS, shape[1], |rows, sums| {
            sums::rows(&x[rows.start * shape[1]..rows.end * shape[1]], sums);
        })?;
        floats_mut(&mut y)?.copy_from_slice(&total);
        Ok(())
    }))
}

fn weight_grad_kernel(_: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let tile = Tile::here();
    Ok(kernel(move |ctx| {
        let values = (0..ctx.num_inputs()?)
            .map(|index| given(ctx, index))
            .collect::<ort::Result<Vec<_>>>()?;
        let operands = values.iter().map(floats).collect::<ort::Result<Vec<_>>>()?;
        let [(b_shape, b), (a_shape, _), ..] = &operands[..] else {
            return Err(missing("operand"));
        };
        let (&[depth, rows], &[b_depth, columns]) = (&a_shape[..], &b_shape[..]) else {
            return agree("WeightGrad", false);
        };
        let same = operands[1..].iter().all(|(shape, _)| shape == a_shape);
        agree("WeightGrad", same && depth == b_depth)?;
        let product = WeightGrad { tile, depth, rows, columns };
        let mut results = (0..operands.len() - 1)
            .map(|index| made(ctx, index, &[rows, columns]))
            .collect::<ort::Result<Vec<_>>>()?;
        let results = results.iter_mut().map(floats_mut).collect::<ort::Result<Vec<_>>>()?;
        let products: Vec<(&[f32], Shared<'_, f32>)> = operands[1..]
            .iter()
            .map(|(_, a)| *a)
            .zip(results.into_iter().map(Shared::new))
            .collect();
        with_common_scratch(product.packed(), |packed| {
            for products in products.chunks(if product.packs_b() { products.len() } else { 1 }) {
                let shared = Shared::new(packed);
                for_each(ctx, product.packing_parts(), |part| {
                    product.pack(part, products[0].0, b, &shared)
                })?;
                let packed = &*packed;
                for_each(ctx, products.len() * product.parts(), |part| {
                    let (a, result) = &products[part / product.parts()];
                    product.multiply(part % product.parts(), a, b, packed, result);
                })?;
            }
            Ok(())
        })
    }))
}

fn gather_grad_kernel(_: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    Ok(kernel(|ctx| {
        let (table, rows, dy) = (given(ctx, 0)?, given(ctx, 1)?, given(ctx, 2)?);
        let ((shape, _), (_, rows), (_, dy)) = (floats(&table)?, ints(&rows)?, floats(&dy)?);
        agree("GatherGrad", shape.len() == 2 && dy.len() == rows.len() * shape[1])?;
        let mut gradient = made(ctx, 0, &shape)?;
        let gradient = Shared::new(floats_mut(&mut gradient)?);
        for_each(ctx, shape[1].div_ceil(sums::COLUMNS), |part| {
            sums::scatter(
                rows,
                dy,
                shape[1],
                range(part, sums::COLUMNS, shape[1]),
                shape[0],
                &gradient,
            );
        })
    }))
}

fn sum_squares_kernel(_: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    Ok(kernel(|ctx| {
        let x = given(ctx, 0)?;
        let (_, x) = floats(&x)?;
        let parts = x.len().div_ceil(sums::SQUARES);
        let mut partial = vec![0.0f64; parts];
        {
            let partial = Shared::new(&mut partial);
            for_each(ctx, parts, |part| {
                // SAFETY: each part has its own sum.
                let own = unsafe { partial.range(part..part + 1) };
                own[0] = sums::squares(&x[range(part, sums::SQUARES, x.len())]);
            })?;
        }
        let mut y = made(ctx, 0, &[1])?;
        floats_mut(&mut y)?[0] = partial.iter().sum::<f64>() as f32;
        Ok(())
    }))
}

fn adamw_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let (beta2, rise1, rise2) =
        (float(context, "beta2")?, float(context, "rise1")?, float(context, "rise2")?);
    let epsilon = float(context, "epsilon")?;
    Ok(kernel(move |ctx| {
        let (p, g, m, v) = (given(ctx, 0)?, given(ctx, 1)?, given(ctx, 2)?, given(ctx, 3)?);
        let (scale, learning_rate) = (given(ctx, 4)?, given(ctx, 5)?);
        let (weight_decay, corrections) = (given(ctx, 6)?, given(ctx, 7)?);
        let [(_, scale), (_, learning_rate), (_, weight_decay), (_, corrections)] = [
            floats(&scale)?,
            floats(&learning_rate)?,
            floats(&weight_decay)?,
            floats(&corrections)?,
        ];
        let (&[scale], &[learning_rate], &[weight_decay], &[correction1, root_correction2]) =
            (scale, learning_rate, weight_decay, corrections)
        else {
            return Err(ort::Error::new("the optimizer's scalars are of another number"));
        };
        let step = adamw::Step {
            learning_rate,
            beta2,
            rise1,
            rise2,
            epsilon,
            weight_decay,
            correction1,
            root_correction2,
            scale,
        };
        let ((shape, old_p), (_, gradient), (_, old_m), (_, old_v)) =
            (floats(&p)?, floats(&g)?, floats(&m)?, floats(&v)?);
        let len = old_p.len();
        if gradient.len() != len || old_m.len() != len || old_v.len() != len {
            return Err(ort::Error::new("parameter, gradient and moments differ in size"));
        }
        let old = [old_p.as_ptr(), old_m.as_ptr(), old_v.as_ptr()].map(Old);
        let (mut new_p, mut new_m, mut new_v) =
            (made(ctx, 0, &shape)?, made(ctx, 1, &shape)?, made(ctx, 2, &shape)?);
        let new = [floats_mut(&mut new_p)?, floats_mut(&mut new_m)?, floats_mut(&mut new_v)?]
            .map(Shared::new);
        for_each(ctx, len.div_ceil(adamw::PART), |part| {
            let here = range(part, adamw::PART, len);
            // SAFETY: all tensors have `len` elements, parts are disjoint, and an output either is
            // its input's own buffer, as the session binds it, or one that ONNX Runtime has just
            // allocated.
            let [p, m, v] = std::array::from_fn(|index| unsafe {
                old[index].carry_over(&new[index], here.clone())
            });
            adamw::update(&step, &gradient[here], p, m, v);
        })
    }))
}

/// The memory of a tensor that an update replaces.
#[derive(Clone, Copy)]
struct Old(*const f32);

// SAFETY: the memory is only read, by `carry_over`.
unsafe impl Sync for Old {}
// SAFETY: as above.
unsafe impl Send for Old {}

impl Old {
    /// Returns a range of the new tensor, holding the old one's values.
    ///
    /// # Safety The old tensor must be as large as the new one, and be either the same memory or
    /// apart from it; ranges must be disjoint between threads.
    #[expect(clippy::mut_from_ref, reason = "as in `Shared::range`")]
    unsafe fn carry_over<'a>(
        self,
        new: &'a Shared<'_, f32>,
        range: std::ops::Range<usize>,
    ) -> &'a mut [f32] {
        // SAFETY: by the caller's promise.
        unsafe {
            let target = new.range(range.clone());
            let source = self.0.add(range.start);
            if !std::ptr::eq(source, target.as_ptr()) {
                std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len());
            }
            target
        }
    }
}
