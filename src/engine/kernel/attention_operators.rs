//! Attention and its gradient as ONNX Runtime's custom operators.
#![expect(unsafe_code, reason = "parts of one result are written by several threads at once")]

use ort::operator::{BoxedKernel, ComputeContext, KernelContext};
use ort::value::ValueRef;

use super::attention;
use super::operands::{
    Site, agree, float, floats, floats_mut, given, int, ints, kernel, made, missing, optional,
};
use super::parallel::{Shared, for_each, sum_sets};

/// Queries, keys, values and their biases: the common operands of both attention operators.
struct Rows<'c>([ValueRef<'c>; 6]);

impl<'c> Rows<'c> {
    fn read(ctx: &'c ComputeContext) -> ort::Result<Rows<'c>> {
        let [q, k, v, bq, bk, bv] = [0, 1, 2, 3, 4, 5].map(|index| given(ctx, index));
        Ok(Rows([q?, k?, v?, bq?, bk?, bv?]))
    }

    /// Returns the shape of the rows, the sizes of the attention of each text, and the operands.
    /// The rows are those of all places of the mask `[B, L]`, or of those that it shows.
    fn operands(
        &self,
        operator: &str,
        (mask_shape, mask): (&[usize], &[i64]),
        heads: usize,
    ) -> ort::Result<(Vec<usize>, Vec<attention::Sizes>, [attention::Biased<'_>; 3])> {
        let shape = floats(&self.0[0])?.0;
        let (&[count, hidden], &[batch, most]) = (&shape[..], mask_shape) else {
            return Err(ort::Error::new(format!("attention over {shape:?} with {mask_shape:?}")));
        };
        let wrong = || {
            ort::Error::new(format!(
                "attention of {heads} heads over {shape:?} in {batch} texts of {most} tokens"
            ))
        };
        if heads == 0 || batch == 0 || most == 0 || !hidden.is_multiple_of(heads) {
            return Err(wrong());
        }
        let is_whole = count == batch * most;
        let shown = |text: &[i64]| text.iter().filter(|shows| **shows != 0).count();
        let lengths = mask.chunks_exact(most).map(|text| if is_whole { most } else { shown(text) });
        let mut first = 0;
        let sizes: Vec<attention::Sizes> = lengths
            .map(|length| {
                let own = attention::Sizes { hidden, heads, length, most, first };
                first += length;
                own
            })
            .collect();
        if first != count || sizes.len() != batch {
            return Err(wrong());
        }
        let mut operands = Vec::new();
        for (rows, bias) in self.0[..3].iter().zip(&self.0[3..]) {
            let ((its_shape, rows), (_, bias)) = (floats(rows)?, floats(bias)?);
            agree(operator, its_shape == shape && bias.len() == hidden)?;
            operands.push(attention::Biased { rows, bias: Some(bias) });
        }
        let operands = operands.try_into().map_err(|_| missing("operand"))?;
        Ok((shape, sizes, operands))
    }
}

pub fn attention_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let (site, heads) = (Site::read(context)?, int(context, "heads")? as usize);
    let (scale, has_bias) = (float(context, "scale")?, int(context, "has_bias")? != 0);
    Ok(kernel(move |ctx| {
        let (rows, mask, bias) = (Rows::read(ctx)?, given(ctx, 6)?, given(ctx, 7)?);
        let key = site.key(optional(ctx, 8)?.as_ref())?;
        let (mask_shape, mask) = ints(&mask)?;
        let (bias_shape, bias) = floats(&bias)?;
        let (shape, sizes, operands) = rows.operands("Attention", (&mask_shape, mask), heads)?;
        let (texts, most) = (mask_shape[0], mask_shape[1]);
        let bias = has_bias.then_some((&bias_shape[..], bias));
        let scores = attention::Scores::new([texts, heads, most], scale, bias)
            .ok_or_else(|| ort::Error::new(format!("a bias {bias_shape:?} of scores")))?;
        let mut context = made(ctx, 0, &shape)?;
        let mut probabilities = made(ctx, 1, &[texts, heads, most, most])?;
        let (context, probabilities) =
            (Shared::new(floats_mut(&mut context)?), Shared::new(floats_mut(&mut probabilities)?));
        for_each(ctx, texts * heads, |part| {
            let (text, sizes) = (part / heads, sizes[part / heads]);
            let first = part * most * most;
            // SAFETY: each part has its own probabilities.
            let own = unsafe { probabilities.range(first..first + sizes.length * sizes.length) };
            let mask = &mask[text * most..][..sizes.length];
            attention::forward((scores, sizes), part, operands, mask, key, &context, own);
        })
    }))
}

pub fn attention_grad_kernel(context: &KernelContext<'_>) -> ort::Result<BoxedKernel<'static>> {
    let (site, heads) = (Site::read(context)?, int(context, "heads")? as usize);
    let (scale, learns_bias) = (float(context, "scale")?, int(context, "learns_bias")? != 0);
    Ok(kernel(move |ctx| {
        let (rows, p, dy) = (Rows::read(ctx)?, given(ctx, 6)?, given(ctx, 7)?);
        let mask = given(ctx, 8)?;
        let key = site.key(optional(ctx, 9)?.as_ref())?;
        let ((p_shape, p), (_, dy), (mask_shape, mask)) = (floats(&p)?, floats(&dy)?, ints(&mask)?);
        let (shape, sizes, operands) =
            rows.operands("AttentionGrad", (&mask_shape, mask), heads)?;
        let (texts, most, hidden) = (mask_shape[0], mask_shape[1], shape[1]);
        agree(
            "AttentionGrad",
            p.len() == texts * heads * most * most && dy.len() == operands[0].rows.len(),
        )?;
        let (mut dq, mut dk, mut dv) =
            (made(ctx, 0, &shape)?, made(ctx, 1, &shape)?, made(ctx, 2, &shape)?);
        let (dq, dk, dv) = (
            Shared::new(floats_mut(&mut dq)?),
            Shared::new(floats_mut(&mut dk)?),
            Shared::new(floats_mut(&mut dv)?),
        );
        let mut d_scores = match learns_bias {
            true => Some(made(ctx, 6, &p_shape)?),
            false => None,
        };
        let d_scores = match &mut d_scores {
            Some(d_scores) => {
                let all = floats_mut(d_scores)?;
                if sizes.iter().any(|text| text.length < most) {
                    all.fill(0.0);
                }
                Some(Shared::new(all))
            }
            None => None,
        };
        let sums = sum_sets(texts, 3 * hidden, |sets| {
            for_each(ctx, texts * heads, |part| {
                let (text, sizes) = (part / heads, sizes[part / heads]);
                let first = part * most * most;
                // SAFETY: each part has its own scores.
                let d_bias =
                    d_scores.as_ref().map(|all| unsafe { all.range(first..first + most * most) });
                let gradients = attention::Gradients {
                    rows: [&dq, &dk, &dv],
                    biases: sets,
                    set: text * 3 * hidden,
                    scores: d_bias,
                };
                let p = &p[first..][..sizes.length * sizes.length];
                attention::backward(sizes, scale, part, operands, p, dy, key, gradients);
            })
        })?;
        for (index, sums) in sums.chunks_exact(hidden).enumerate() {
            floats_mut(&mut made(ctx, 3 + index, &[hidden])?)?.copy_from_slice(sums);
        }
        Ok(())
    }))
}
