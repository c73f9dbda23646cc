//! Distributes work over ONNX Runtime's threads.
#![expect(unsafe_code, reason = "parts of one result are written by several threads at once")]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use ort::operator::ComputeContext;

/// Runs `work` for every part of 0..parts on the session's threads.
pub fn for_each(
    ctx: &ComputeContext,
    parts: usize,
    work: impl Fn(usize) + Sync + Send,
) -> ort::Result<()> {
    match parts {
        0 => Ok(()),
        1 => {
            work(0);
            Ok(())
        }
        // As many batches as parts, so that a late thread takes fewer of them.
        _ => ctx.par_for(parts, parts, work),
    }
}

/// Returns the range of part `part` when `n` elements are cut into pieces of `size`.
pub fn range(part: usize, size: usize, n: usize) -> Range<usize> {
    part * size..((part + 1) * size).min(n)
}

/// A mutable slice whose disjoint ranges are written by several threads.
pub struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    _owner: PhantomData<&'a mut [T]>,
}

// SAFETY: `Shared` gives out ranges only through `range`, whose callers keep them disjoint between
// threads.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Takes a slice to be shared.
    pub fn new(slice: &'a mut [T]) -> Shared<'a, T> {
        Shared { start: slice.as_mut_ptr(), len: slice.len(), _owner: PhantomData }
    }

    /// Returns a range of the slice.
    ///
    /// # Safety
    /// No two ranges that overlap may be alive at the same time.
    #[expect(
        clippy::mut_from_ref,
        reason = "shared mutation is the purpose of this type; callers keep the ranges disjoint"
    )]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, disjoint by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start)
        }
    }
}

thread_local! {
    static OWN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static COMMON: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends a part of the work the thread's scratch buffer of `len` elements with arbitrary content.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    OWN.with_borrow_mut(|scratch| work(grown(scratch, len)))
}

/// Lends a kernel a buffer for all its parts.
pub fn with_common_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    COMMON.with_borrow_mut(|scratch| work(grown(scratch, len)))
}

fn grown(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}

/// Runs `work` for parts of `size` rows, each with its own `width` sums of arbitrary initial
/// content. Returns the added sums; see [`sum_sets`]. Parts are rows and not columns, because
/// sequential reads of memory are fastest.
pub fn sum_parts(
    ctx: &ComputeContext,
    rows: usize,
    size: usize,
    width: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync + Send,
) -> ort::Result<Vec<f32>> {
    let parts = rows.div_ceil(size);
    sum_sets(parts, width, |sets| {
        for_each(ctx, parts, |part| {
            // SAFETY: each part has its own sums.
            let sums = unsafe { sets.range(part * width..(part + 1) * width) };
            work(range(part, size, rows), sums);
        })
    })
}

/// Lets `work` fill `count` sets of `width` sums with arbitrary initial content. Returns the sum of
/// the sets, added in their order, which is the same for any number of threads.
pub fn sum_sets(
    count: usize,
    width: usize,
    work: impl FnOnce(&Shared<'_, f32>) -> ort::Result<()>,
) -> ort::Result<Vec<f32>> {
    with_common_scratch(count * width, |sets| {
        work(&Shared::new(sets))?;
        let mut total = vec![0.0; width];
        for set in sets.chunks_exact(width.max(1)) {
            for (total, value) in total.iter_mut().zip(set) {
                *total += value;
            }
        }
        Ok(total)
    })
}
