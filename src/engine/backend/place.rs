//! The place of tensors and sessions: the host or a GPU.

use ndarray::ArrayD;
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProviderDispatch};
use ort::memory::{AllocationDevice, Allocator};
use ort::value::Tensor;

use super::error::EngineError;
use crate::engine::graph::graph::Kernels;
use crate::engine::graph::lower::Products;
use crate::engine::runtime::device::{Device, Precision};

/// A memory with its processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Host,
    /// An NVIDIA GPU by its number.
    Gpu(u32),
}

impl Place {
    /// Returns the place of a device. `auto` must be resolved before; here it means the host.
    pub fn of(device: Device) -> Place {
        match device {
            Device::Cpu | Device::Auto => Place::Host,
            Device::Cuda(number) => Place::Gpu(number),
        }
    }

    /// Returns the fastest kernels of this place.
    pub fn kernels(self) -> Kernels {
        match self {
            Place::Host => Kernels::Fused,
            Place::Gpu(_) => Kernels::Standard,
        }
    }

    /// Returns how this place computes products in lower precision. The host has no kernels for
    /// bfloat16. Without kernels for half precision, ONNX Runtime removes the casts and computes in
    /// f32.
    pub fn products(self) -> Products {
        match self {
            Place::Host => Products::Rounded,
            Place::Gpu(_) => Products::Native,
        }
    }

    /// Returns the number of steps after which results are requested. A request makes a GPU wait,
    /// and then returns all results at once.
    pub fn lag(self) -> usize {
        match self {
            Place::Host => 1,
            Place::Gpu(_) => 16,
        }
    }

    /// Returns the execution providers of sessions, before their fallback to the CPU, which serves
    /// only sizes and shapes.
    pub(in crate::engine) fn providers(
        self,
        precision: Precision,
    ) -> Vec<ExecutionProviderDispatch> {
        match self {
            Place::Host => Vec::new(),
            Place::Gpu(number) => {
                let provider = CUDA::default()
                    .with_device_id(number as i32)
                    // Training batches differ in length. Doubling the arena at each growth would
                    // waste memory that is needed elsewhere.
                    .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
                    .with_tf32(precision == Precision::Tf32);
                vec![provider.build().error_on_failure()]
            }
        }
    }

    /// Returns ONNX Runtime's name of the memory that a session keeps between its runs.
    pub(in crate::engine) fn arena(self) -> String {
        match self {
            Place::Host => "cpu:0".to_owned(),
            Place::Gpu(number) => format!("gpu:{number}"),
        }
    }

    /// Returns a tensor of arbitrary content.
    pub(in crate::engine) fn tensor(self, shape: &[usize]) -> Result<Tensor<f32>, EngineError> {
        match self {
            Place::Host => host_tensor(shape),
            Place::Gpu(_) => self.zeros(shape),
        }
    }

    /// Returns a tensor of zeros.
    pub(in crate::engine) fn zeros(self, shape: &[usize]) -> Result<Tensor<f32>, EngineError> {
        let mut tensor = host_tensor(shape)?;
        tensor.extract_tensor_mut().1.fill(0.0);
        self.take(tensor)
    }

    /// Returns a tensor with the given content.
    pub(in crate::engine) fn hold<'a>(
        self,
        shape: &[usize],
        values: impl IntoIterator<Item = &'a f32>,
    ) -> Result<Tensor<f32>, EngineError> {
        let mut tensor = host_tensor(shape)?;
        fill(&mut tensor, values);
        self.take(tensor)
    }

    /// Overwrites a tensor at this place.
    pub(in crate::engine) fn overwrite<'a>(
        self,
        tensor: &mut Tensor<f32>,
        values: impl IntoIterator<Item = &'a f32>,
    ) -> Result<(), EngineError> {
        match self {
            Place::Host => {
                fill(tensor, values);
                Ok(())
            }
            Place::Gpu(_) => {
                let mut copy = host_tensor(&sizes(tensor))?;
                fill(&mut copy, values);
                Ok(copy.copy_into(tensor)?)
            }
        }
    }

    /// Returns the content of a tensor at this place.
    pub(in crate::engine) fn read(self, tensor: &Tensor<f32>) -> Result<ArrayD<f32>, EngineError> {
        Ok(match self {
            Place::Host => tensor.extract_array().to_owned(),
            Place::Gpu(_) => tensor.to(AllocationDevice::CPU, 0)?.extract_array().to_owned(),
        })
    }

    /// Returns the first element of a tensor at this place.
    pub(in crate::engine) fn read_first(self, tensor: &Tensor<f32>) -> Result<f32, EngineError> {
        Ok(match self {
            Place::Host => tensor.extract_tensor().1[0],
            Place::Gpu(_) => tensor.to(AllocationDevice::CPU, 0)?.extract_tensor().1[0],
        })
    }

    fn take(self, tensor: Tensor<f32>) -> Result<Tensor<f32>, EngineError> {
        Ok(match self {
            Place::Host => tensor,
            Place::Gpu(number) => tensor.to(AllocationDevice::CUDA, number as i32)?,
        })
    }
}

/// Returns the sizes of a tensor.
pub(in crate::engine) fn sizes(tensor: &Tensor<f32>) -> Vec<usize> {
    tensor.shape().iter().map(|&size| size as usize).collect()
}

fn host_tensor(shape: &[usize]) -> Result<Tensor<f32>, EngineError> {
    Ok(Tensor::new(
        &Allocator::default(),
        shape.iter().map(|&size| size as i64).collect::<Vec<_>>(),
    )?)
}

fn fill<'a>(tensor: &mut Tensor<f32>, values: impl IntoIterator<Item = &'a f32>) {
    for (place, value) in tensor.extract_tensor_mut().1.iter_mut().zip(values) {
        *place = *value;
    }
}
