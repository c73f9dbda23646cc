//! Writing parameters as safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use fs_err as fs;
use ndarray::ArrayD;
use safetensors::tensor::{Dtype, View};

use super::tensors::{Tensors, Weights};
use crate::model::error::ModelError;

/// The one file of weights.
pub const WHOLE: &str = "model.safetensors";

/// The weights of a head that the architecture has none of.
pub const HEAD: &str = "head.safetensors";

/// Writes weights into `folder` as its model.safetensors, each under the name that `rename` gives
/// it.
pub fn write(
    folder: &Path,
    weights: &Weights,
    rename: impl Fn(&str) -> String,
) -> Result<(), ModelError> {
    write_file(&folder.join(WHOLE), weights, rename)
}

/// Writes parameters into a file, under their own names. One that lies on the disk in the same form
/// gets another name there, so that nothing is read or written.
pub fn save(path: &Path, tensors: &Tensors) -> Result<(), ModelError> {
    match tensors.whole_file() {
        Some(file) => Ok(file.link(path)?),
        None => write_file(path, &*tensors.all()?, str::to_owned),
    }
}

fn write_file(
    path: &Path,
    weights: &Weights,
    rename: impl Fn(&str) -> String,
) -> Result<(), ModelError> {
    let views: Vec<(String, Floats<'_>)> =
        weights.iter().map(|(name, array)| (rename(name), Floats::of(array))).collect();
    // `transformers` refuses a file that does not say which framework's layout it has.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // Not the crate's own writer of files, which replaces what is there by a private one.
    let file = safetensors::serialize(views, Some(metadata)).map_err(|error| {
        ModelError::Safetensors { path: path.to_owned(), detail: error.to_string() }
    })?;
    Ok(fs::write(path, file)?)
}

/// Numbers that are to be written as a tensor.
pub struct Floats<'a> {
    shape: Vec<usize>,
    values: Cow<'a, [f32]>,
}

impl<'a> Floats<'a> {
    /// Takes an array, in the standard order of its elements.
    pub fn of(array: &'a ArrayD<f32>) -> Floats<'a> {
        let values = match array.as_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(array.iter().copied().collect()),
        };
        Floats { shape: array.shape().to_vec(), values }
    }

    /// Takes numbers as a tensor of one axis.
    pub fn flat(values: &'a [f32]) -> Floats<'a> {
        Floats { shape: vec![values.len()], values: Cow::Borrowed(values) }
    }
}

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        size_of_val(&*self.values)
    }
}
