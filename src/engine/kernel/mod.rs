//! Fused kernels for the CPU, run by ONNX Runtime as custom operators on its own thread pool.
//!
//! Each kernel splits its work into parts whose number depends only on the shapes, and adds partial
//! sums in the order of the parts. The result is bitwise the same for any number of threads. The
//! compiler turns the arithmetic into vector instructions; [`simd`] picks the widest that the
//! processor has. No width changes a result.

#![expect(
    clippy::needless_range_loop,
    reason = "one index over several slices compiles to vector instructions"
)]

pub mod simd;
pub mod random;
pub mod math;
pub mod parallel;
pub mod attention;
pub mod attention_operators;
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
