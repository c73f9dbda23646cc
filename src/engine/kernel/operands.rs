//! Attributes, inputs and outputs of a custom operator, as a kernel wants them.

use ort::operator::{ComputeContext, KernelContext};
use ort::value::{ValueRef, ValueRefMut};

use super::random::MaskKey;

/// Returns the error for what is not there.
pub(super) fn missing(what: &str) -> ort::Error {
    ort::Error::new(format!("`{what}` is missing"))
}

/// Returns an attribute that is a number.
pub(super) fn float(context: &KernelContext<'_>, name: &str) -> ort::Result<f32> {
    context.get::<f32>(name).ok_or_else(|| missing(name))
}

/// Returns an attribute that is an integer.
pub(super) fn int(context: &KernelContext<'_>, name: &str) -> ort::Result<i64> {
    context.get::<i64>(name).ok_or_else(|| missing(name))
}

/// The attributes of a place of dropout.
#[derive(Clone, Copy)]
pub(super) struct Site {
    pub rate: f32,
    pub site: u32,
}

impl Site {
    /// Reads them.
    pub(super) fn read(context: &KernelContext<'_>) -> ort::Result<Site> {
        Ok(Site { rate: float(context, "rate")?, site: int(context, "site")? as u32 })
    }

    /// Returns the mask key where there is dropout.
    pub(super) fn key(self, input: Option<&ValueRef<'_>>) -> ort::Result<Option<MaskKey>> {
        match input {
            Some(value) if self.rate > 0.0 => {
                let step_key =
                    ints(value)?.1.first().copied().ok_or_else(|| missing("dropout key"))?;
                Ok(Some(MaskKey::new(step_key, self.site, self.rate)))
            }
            _ => Ok(None),
        }
    }
}

/// Returns an input that may be left out.
pub(super) fn optional<'c>(
    ctx: &'c ComputeContext,
    index: usize,
) -> ort::Result<Option<ValueRef<'c>>> {
    if index < ctx.num_inputs()? { ctx.input(index) } else { Ok(None) }
}

/// Returns an input that is always there.
pub(super) fn given<'c>(ctx: &'c ComputeContext, index: usize) -> ort::Result<ValueRef<'c>> {
    ctx.input(index)?.ok_or_else(|| missing("input"))
}

/// Returns an output of a shape.
pub(super) fn made<'c>(
    ctx: &'c ComputeContext,
    index: usize,
    shape: &[usize],
) -> ort::Result<ValueRefMut<'c>> {
    let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    ctx.output(index, shape)?.ok_or_else(|| missing("output"))
}

/// Returns the shape and the numbers of a tensor.
pub(super) fn floats<'v>(value: &'v ValueRef<'_>) -> ort::Result<(Vec<usize>, &'v [f32])> {
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    Ok((shape.iter().map(|&size| size as usize).collect(), data))
}

/// Returns the shape and the integers of a tensor.
pub(super) fn ints<'v>(value: &'v ValueRef<'_>) -> ort::Result<(Vec<usize>, &'v [i64])> {
    let (shape, data) = value.try_extract_tensor::<i64>()?;
    Ok((shape.iter().map(|&size| size as usize).collect(), data))
}

/// Returns the numbers of an output.
pub(super) fn floats_mut<'v>(value: &'v mut ValueRefMut<'_>) -> ort::Result<&'v mut [f32]> {
    Ok(value.try_extract_tensor_mut::<f32>()?.1)
}

/// Refuses tensors that a kernel would read beyond their end.
pub(super) fn agree(operator: &str, holds: bool) -> ort::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(ort::Error::new(format!(
            "the sizes of the operands of `{operator}` do not go together"
        )))
    }
}
