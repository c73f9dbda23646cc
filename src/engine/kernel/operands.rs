//! Typed access to the attributes, inputs and outputs of a custom operator.

use ort::operator::{BoxedKernel, ComputeContext, KernelContext};
use ort::value::{ValueRef, ValueRefMut};

use super::random::MaskKey;

/// Returns the error for a missing operand.
pub(super) fn missing(what: &str) -> ort::Error {
    ort::Error::new(format!("`{what}` is missing"))
}

/// Returns a float attribute.
pub(super) fn float(context: &KernelContext<'_>, name: &str) -> ort::Result<f32> {
    context.get::<f32>(name).ok_or_else(|| missing(name))
}

/// Returns an integer attribute.
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
    /// Reads the attributes.
    pub(super) fn read(context: &KernelContext<'_>) -> ort::Result<Site> {
        Ok(Site { rate: float(context, "rate")?, site: int(context, "site")? as u32 })
    }

    /// Returns the mask key if there is dropout.
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

/// Returns an optional input.
pub(super) fn optional<'c>(
    ctx: &'c ComputeContext,
    index: usize,
) -> ort::Result<Option<ValueRef<'c>>> {
    if index < ctx.num_inputs()? { ctx.input(index) } else { Ok(None) }
}

/// Returns a required input.
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

/// Returns the shape and the elements of an f32 tensor.
pub(super) fn floats<'v>(value: &'v ValueRef<'_>) -> ort::Result<(Vec<usize>, &'v [f32])> {
    let (shape, data) = value.try_extract_tensor::<f32>()?;
    Ok((shape.iter().map(|&size| size as usize).collect(), data))
}

/// Returns the shape and the elements of an i64 tensor.
pub(super) fn ints<'v>(value: &'v ValueRef<'_>) -> ort::Result<(Vec<usize>, &'v [i64])> {
    let (shape, data) = value.try_extract_tensor::<i64>()?;
    Ok((shape.iter().map(|&size| size as usize).collect(), data))
}

/// Returns the elements of an output.
pub(super) fn floats_mut<'v>(value: &'v mut ValueRefMut<'_>) -> ort::Result<&'v mut [f32]> {
    Ok(value.try_extract_tensor_mut::<f32>()?.1)
}

/// Returns an error if a kernel would read a tensor beyond its end.
pub(super) fn agree(operator: &str, holds: bool) -> ort::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(ort::Error::new(format!("the sizes of the operands of `{operator}` do not match")))
    }
}

/// Returns a kernel that does this work at each run.
pub(super) fn kernel(
    compute: impl FnMut(&ComputeContext) -> ort::Result<()> + Send + 'static,
) -> BoxedKernel<'static> {
    Box::new(compute)
}
