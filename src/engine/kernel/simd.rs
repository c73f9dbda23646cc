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

                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                {
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
