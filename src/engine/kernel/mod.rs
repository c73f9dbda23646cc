//! Fused kernels for the CPU, run by ONNX Runtime as custom operators on its own thread pool.
//!
//! Each splits its work into parts whose number follows from the shapes alone, and adds partial
//! sums in the order of the parts: the result is bitwise the same for any number of threads.
//! Arithmetic is written so that the compiler turns it into vector instructions; [`simd`] picks the
//! widest that the processor has, and no width changes a result.

#![expect(
    clippy::needless_range_loop,
    reason = "one index over several slices is what becomes vector instructions"
)]

pub mod simd;
pub mod random;
pub mod math;
pub mod parallel;
pub mod attention;
pub mod gelu;
pub mod norm;
pub mod dropout;
pub mod sums;
pub mod product;
pub mod adamw;
mod operands;
pub mod register;
#[cfg(test)]
mod tests;
