//! The versions of ONNX Runtime: the one that is installed, and the oldest that is accepted.

/// The version to install.
pub const VERSION: &str = "1.31.1";

/// The oldest supported ONNX Runtime as (major, minor).
pub const OLDEST: (u32, u32) = (1, 19);

/// The oldest CUDA that a driver must support for the pinned version's CUDA libraries, as (major,
/// minor).
pub const OLDEST_CUDA: (u32, u32) = (13, 0);
/// The NVIDIA driver that first supported it.
pub const OLDEST_DRIVER: u32 = 580;
/// The oldest compute capability that CUDA 13 has kernels for, as (major, minor).
pub const OLDEST_CAPABILITY: (u32, u32) = (7, 5);
