//! Finding a model's parameters in its files.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use fs_err as fs;
use safetensors::tensor::Metadata;

use super::files::{file_of, files};
use super::names::Prefixes;
use super::pickled;
use super::tensors::{Bytes, File, Stored, Tensors, Weights, is_float};
use super::write::WHOLE;
use crate::base::limit::Limit;
use crate::model::encoders::Config;
use crate::model::error::ModelError;
use crate::model::network::{headless, parameters};
use crate::model::sentences::Dense;

/// How a file begins that stands for one in Git LFS.
const LFS: &[u8] = b"version https://git-lfs";

/// The bytes before the header of a safetensors file, which are its length; and the most that it
/// may have, as the library has it.
const LENGTH: u64 = 8;
const LONGEST_HEADER: u64 = 100_000_000;

/// Finds the encoder's parameters, named relative to the encoder, and of the others those that
/// `wanted` says, by the names that they have. Everything else (other heads, buffers) is left out;
/// returns its names too. The numbers are read when they are wanted.
pub fn look(
    folder: &Path,
    config: &Config,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Tensors, Vec<String>), ModelError> {
    let files = files(folder)?;
    let is_index = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
    let mut parsed = Vec::new();
    for path in files.iter().filter(|path| !is_index(path)) {
        if !path.is_file() {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(ModelError::MissingFile { folder: folder.to_owned(), file });
        }
        parsed.push((path, tensors(path)?));
    }
    let names: Vec<String> =
        parsed.iter().flat_map(|(_, all)| all).map(|it| it.raw.clone()).collect();

    let graph = headless(config)?;
    let word_table = graph.word_table().unwrap_or_default();
    let prefixes = Prefixes::of(&names, word_table, config.encoder.prefix).map_err(|found| {
        ModelError::TwoEncoders { folder: folder.to_owned(), one: found.0, other: found.1 }
    })?;
    let parameters = parameters(&graph);
    let shapes: BTreeMap<&str, &[usize]> =
        parameters.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let mut found: BTreeMap<String, Stored> = BTreeMap::new();
    let mut ignored = Vec::new();
    for (path, tensors) in parsed {
        // A pickle may name one tensor many times, and tensors that are larger than their bytes.
        let limit = Limit::of(path, fs::metadata(path)?.len(), 0)?;
        let mut total = 0;
        for tensor in tensors {
            let is_known = |name: &String| shapes.contains_key(name.as_str()) || wanted(name);
            let Some(name) = prefixes.names(&tensor.raw).into_iter().find(is_known) else {
                ignored.push(tensor.raw);
                continue;
            };
            if let Some(other) = found.get(&name) {
                let (one, other) = (tensor.raw, other.raw.clone());
                return Err(ModelError::TwoTensors { path: path.clone(), one, other, name });
            }
            if let Some(expected) = shapes.get(name.as_str()) {
                check_shape(&tensor, expected)?;
            }
            check_type(&tensor)?;
            if let Bytes::Pickled(pickled) = &tensor.bytes {
                total += pickled.byte_len() as u64;
                limit.check(total)?;
            }
            found.insert(name, tensor);
        }
    }
    match parameters.into_iter().find(|(name, _)| !found.contains_key(name)) {
        Some((name, expected)) => {
            let path = files.into_iter().next().unwrap_or_else(|| folder.to_owned());
            let name = format!("{}{name}", prefixes.encoder);
            Err(ModelError::MissingTensor { path, name, expected })
        }
        None => {
            let mut all = Tensors::default();
            for (name, tensor) in found {
                // What a pickle really holds shows only where it is read.
                match tensor.bytes {
                    Bytes::Pickled(_) => all.extend([(name, tensor.read()?)].into()),
                    Bytes::At { .. } => all.extend_stored([(name, tensor)]),
                }
            }
            Ok((all, ignored))
        }
    }
}

/// Finds the parameters of a dense layer over the encoder.
pub fn look_at_dense(folder: &Path, dense: &Dense) -> Result<Tensors, ModelError> {
    let path = file_of(folder, dense)?;
    let mut tensors = tensors(&path)?;
    let mut all = Tensors::default();
    for (name, expected) in dense.parameters() {
        let own = name.strip_prefix(&dense.module).and_then(|own| own.strip_prefix('.'));
        let own = own.unwrap_or(&name).to_owned();
        let Some(at) = tensors.iter().position(|tensor| tensor.raw == own) else {
            return Err(ModelError::MissingTensor { path, name: own, expected });
        };
        let tensor = tensors.swap_remove(at);
        check_shape(&tensor, &expected)?;
        check_type(&tensor)?;
        all.extend_stored([(name, tensor)]);
    }
    Ok(all)
}

/// Reads every tensor of a folder's model.safetensors, by its name there.
pub fn read_whole(folder: &Path) -> Result<Weights, ModelError> {
    let tensors = tensors(&folder.join(WHOLE))?.into_iter();
    tensors.map(|tensor| Ok((tensor.raw.clone(), tensor.read()?))).collect()
}

/// Finds every tensor of a folder's model.safetensors, by its name there.
pub fn look_at_whole(folder: &Path) -> Result<Tensors, ModelError> {
    let mut all = Tensors::default();
    let tensors = tensors(&folder.join(WHOLE))?.into_iter();
    all.extend_stored(tensors.map(|tensor| (tensor.raw.clone(), tensor)));
    Ok(all)
}

/// Returns where each tensor of a safetensors file lies in it: its name, offset and length in
/// bytes.
pub fn places(path: &Path) -> Result<Vec<(String, u64, u64)>, ModelError> {
    let place = |tensor: Stored| match tensor.bytes {
        Bytes::At { offset, length } => Some((tensor.raw, offset, length as u64)),
        Bytes::Pickled(_) => None,
    };
    Ok(tensors(path)?.into_iter().filter_map(place).collect())
}

fn check_shape(tensor: &Stored, expected: &[usize]) -> Result<(), ModelError> {
    if tensor.shape == expected {
        return Ok(());
    }
    Err(ModelError::Shape {
        path: tensor.file.path.clone(),
        name: tensor.raw.clone(),
        expected: expected.to_vec(),
        found: tensor.shape.clone(),
    })
}

fn check_type(tensor: &Stored) -> Result<(), ModelError> {
    if is_float(tensor.dtype) {
        return Ok(());
    }
    let (path, name) = (tensor.file.path.clone(), tensor.raw.clone());
    Err(ModelError::DType { path, name, found: format!("{:?}", tensor.dtype) })
}

/// Returns the tensors of a file of weights, in the order of their names.
fn tensors(path: &Path) -> Result<Vec<Stored>, ModelError> {
    // One of PyTorch's is told by its name.
    let is_pickled = path.extension().is_some_and(|extension| extension == "bin");
    if is_pickled { of_pickle(path) } else { of_safetensors(path) }
}

/// Returns the tensors of a safetensors file, of which only the header is read.
fn of_safetensors(path: &Path) -> Result<Vec<Stored>, ModelError> {
    let wrong = |detail: String| ModelError::Safetensors { path: path.to_owned(), detail };
    let mut open = fs::File::open(path)?;
    let size = open.metadata()?.len();
    let mut start = Vec::new();
    open.by_ref().take(LFS.len() as u64).read_to_end(&mut start)?;
    if start == LFS {
        return Err(ModelError::LfsPointer { path: path.to_owned() });
    }
    let Some(length) = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(wrong(format!("it has {size} bytes, fewer than a header")));
    };
    if length > LONGEST_HEADER || LENGTH + length > size {
        return Err(wrong(format!("its header is longer than the file of {size} bytes")));
    }
    open.seek(std::io::SeekFrom::Start(LENGTH))?;
    let mut header = Vec::new();
    open.by_ref().take(length).read_to_end(&mut header)?;
    let header: Metadata =
        serde_json::from_slice(&header).map_err(|error| wrong(error.to_string()))?;
    let begin = LENGTH + length;
    if begin + header.data_len() as u64 != size {
        return Err(wrong(format!("its header describes a size other than its {size} bytes")));
    }
    let found = header.tensors();
    let file = File::new(path, open, found.len());
    let stored = |(raw, info): (String, &safetensors::tensor::TensorInfo)| {
        let (from, to) = info.data_offsets;
        Stored {
            file: file.clone(),
            raw,
            dtype: info.dtype,
            shape: info.shape.clone(),
            bytes: Bytes::At { offset: begin + from as u64, length: to - from },
        }
    };
    let mut tensors: Vec<Stored> = found.into_iter().map(stored).collect();
    tensors.sort_by(|one, other| one.raw.cmp(&other.raw));
    Ok(tensors)
}

/// Returns the tensors of a file of PyTorch's.
fn of_pickle(path: &Path) -> Result<Vec<Stored>, ModelError> {
    let found = pickled::open(path)?;
    let file = File::new(path, fs::File::open(path)?, found.len());
    let stored = |(raw, tensor): (String, pickled::Tensor)| Stored {
        file: file.clone(),
        raw,
        dtype: pickled::dtype(&tensor),
        shape: tensor.shape().to_vec(),
        bytes: Bytes::Pickled(tensor),
    };
    Ok(found.into_iter().map(stored).collect())
}
