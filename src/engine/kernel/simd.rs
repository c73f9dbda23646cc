//! Running the same code with the vector instructions that the processor has.

/// Defines functions that run compiled for the vector instructions that the processor has.
///
/// The body is inlined into a copy for each set of instructions, and what it calls must be `#[inline(always)]` to be part of that copy.
/// Rust never contracts a multiplication and an addition by itself, so results do not depend on the choice.
macro_rules! vectorized {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {$(
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "the copies share one signature, whatever its length")]
            fn body($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "the copies share one signature, whatever its length")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")]
                #[allow(clippy::too_many_arguments, reason = "the copies share one signature, whatever its length")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }

                if $crate::engine::kernel::simd::wide_registers() {
                    // SAFETY: the processor has the instructions that the copy is compiled for.
                    return unsafe { avx512($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
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

/// Asks for `len` elements from `start` on to be brought near, as far as they are in the slice.
#[inline(always)]
pub fn prefetch(data: &[f32], start: usize, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(data) = data.get(start..start + len) {
        for line in data.chunks(16) {
            // SAFETY: asking for memory has no effect that a program can see, and the address is one of the slice's.
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast())
            };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, start, len);
}

/// The lanes of sums that are added side by side; fixed, so that the order of additions is the same on every processor.
pub const LANES: usize = 16;

/// Returns Σ f(i) for i in 0..n, added in [`LANES`] lanes.
#[inline(always)]
pub fn sum_by(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
        start += LANES;
    }
    for (lane, index) in (whole..n).enumerate() {
        lanes[lane] += f(index);
    }
    fold(lanes, |a, b| a + b)
}

/// Joins the lanes, the upper half with the lower one each time.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Returns the largest f(i) for i in 0..n that is a number, −∞ where there is none.
#[inline(always)]
pub fn max_by(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let whole = n / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, highest) in lanes.iter_mut().enumerate() {
            *highest = larger(*highest, f(start + lane));
        }
        start += LANES;
    }
    for index in whole..n {
        lanes[0] = larger(lanes[0], f(index));
    }
    fold(lanes, larger)
}
