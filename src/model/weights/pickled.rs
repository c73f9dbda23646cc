//! pytorch_model.bin: what `torch.save` wrote. Its pickle is read as data; nothing that it asks for
//! is run.

use std::io::Read;
use std::path::Path;

use fs_err as fs;
pub(super) use pytorch_reader::Tensor;
use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::Dtype;

use crate::base::contain::contained;
use crate::model::error::ModelError;

/// The one file of weights, and the table of contents of many.
pub const WHOLE: &str = "pytorch_model.bin";
pub const INDEX: &str = "pytorch_model.bin.index.json";

/// Says whether a file of this name holds pickled weights, or lists those that do.
pub fn is_pickled(name: &str) -> bool {
    let shard = name.starts_with("pytorch_model-") && name.ends_with(".bin");
    (shard || name == WHOLE || name == INDEX) && !name.contains('/')
}

/// Returns the tensors of a file by name, in the order of the names. Their bytes are read when they
/// are wanted.
pub(super) fn open(path: &Path) -> Result<Vec<(String, Tensor)>, ModelError> {
    let mut start = Vec::new();
    fs::File::open(path)?.take(22).read_to_end(&mut start)?;
    if start == b"version https://git-lf" {
        return Err(ModelError::LfsPointer { path: path.to_owned() });
    }
    let opened = contained(|| PytorchReader::new(path)).map_err(|panic| wrong(path, &panic))?;
    let tensors = opened.map_err(|error| wrong(path, &error.to_string()))?.into_tensors();
    if tensors.is_empty() {
        return Err(wrong(path, "it holds no tensors by name"));
    }
    let mut tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(tensors)
}

/// Reads the bytes of a tensor, in the standard order of its elements.
pub(super) fn bytes(path: &Path, tensor: &Tensor) -> Result<Vec<u8>, ModelError> {
    let read = contained(|| tensor.read()).map_err(|panic| wrong(path, &panic))?;
    read.map_err(|error| wrong(path, &error.to_string()))
}

/// Returns the type of a tensor's elements.
pub(super) fn dtype(tensor: &Tensor) -> Dtype {
    match tensor.dtype() {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn wrong(path: &Path, detail: &str) -> ModelError {
    ModelError::Checkpoint { path: path.to_owned(), detail: detail.to_owned() }
}
