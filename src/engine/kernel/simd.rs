//! Runs the same code with the vector instructions of the processor.

/// Defines functions that are compiled for the vector instructions of the processor.
///
/// The body is inlined into a copy for each instruction set. Functions that it calls must be
/// `#[inline(always)]` to be part of that copy. Rust never fuses a multiplication and an addition
/// by itself, so results do not depend on the choice.
macro_rules! vectorized {
    ($(
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?
        $body:block
    )*) => {$(
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a copy wants a processor that has its instructions")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                if $crate::engine::kernel::simd::wide_registers() {
                    // SAFETY: the processor has the instructions of this copy.
                    return unsafe { avx512($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            body($($argument),*)
        }
    )*};
}
pub(super) use vectorized;

/// Returns whether the processor has 32 registers of 16 numbers, and [`vectorized`] uses them.
pub fn wide_registers() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Prefetches `len` elements from `start` on, if they are in the slice.
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the instruction takes the address of any memory")
)]
#[inline(always)]
pub fn prefetch(data: &[f32], start: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(data) = data.get(start..start + len) {
        for line in data.chunks(16) {
            // SAFETY: prefetching has no visible effect, and the address is in the slice.
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                    line.as_ptr().cast(),
                )
            };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, start, len);
}

/// The number of parallel sums. It is fixed, so that the order of additions is the same on every
/// processor.
pub const LANES: usize = 16;

/// Returns the sum of the elements of a slice, or of the products of several slices of equal
/// length, added in [`LANES`] lanes.
#[inline(always)]
pub fn sum<const N: usize>(factors: [&[f32]; N]) -> f32 {
    let n = factors[0].len();
    // With slices of one constant length, the loop needs no bounds checks and becomes vector
    // instructions.
    let factors = factors.map(|factor| &factor[..n]);
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES;
    for chunk in 0..whole {
        let chunks = factors.map(|factor| &factor.as_chunks::<LANES>().0[chunk]);
        for lane in 0..LANES {
            let mut product = chunks[0][lane];
            for other in &chunks[1..] {
                product *= other[lane];
            }
            lanes[lane] += product;
        }
    }
    for (lane, index) in (whole * LANES..n).enumerate() {
        let mut product = factors[0][index];
        for other in &factors[1..] {
            product *= other[index];
        }
        lanes[lane] += product;
    }
    fold(lanes)
}

/// Adds the lanes by repeatedly adding the upper half to the lower.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
