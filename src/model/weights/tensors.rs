//! The parameters of a model, which stay in their files until they are wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::Dtype;

use super::pickled;
use crate::model::error::ModelError;

/// Parameters by their Hugging Face name.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// The parameters of a model by their Hugging Face name. Those of a folder stay in their files,
/// which are kept open, until they are wanted.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    here: Weights,
    there: BTreeMap<String, Stored>,
}

impl From<Weights> for Tensors {
    fn from(here: Weights) -> Tensors {
        Tensors { here, there: BTreeMap::new() }
    }
}

impl Tensors {
    /// Returns the shape of a parameter; `None` where there is none of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let here = self.here.get(name).map(ArrayD::shape);
        here.or_else(|| self.there.get(name).map(|stored| &stored.shape[..]))
    }

    /// Lists the names in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> =
            self.here.keys().chain(self.there.keys()).map(|it| &**it).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// Returns the numbers that all parameters have together.
    pub fn count(&self) -> u64 {
        self.names().filter_map(|name| self.shape(name)).map(count).sum()
    }

    /// Returns how many parameters there are.
    pub fn len(&self) -> usize {
        self.here.len() + self.there.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a parameter; `None` where there is none of this name.
    ///
    /// # Errors
    ///
    /// Fails where its file cannot be read, and for numbers that are not finite.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'_, ArrayD<f32>>>, ModelError> {
        match (self.here.get(name), self.there.get(name)) {
            (Some(array), _) => Ok(Some(Cow::Borrowed(array))),
            (None, Some(stored)) => stored.read().map(Cow::Owned).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Reads those parameters whose names are wanted.
    ///
    /// # Errors
    ///
    /// Fails as [`Tensors::get`] does.
    pub fn some(&self, wanted: impl Fn(&str) -> bool) -> Result<Weights, ModelError> {
        let mut found = Weights::new();
        for name in self.names().filter(|name| wanted(name)) {
            found.extend(self.get(name)?.map(|array| (name.to_owned(), array.into_owned())));
        }
        Ok(found)
    }

    /// Reads all parameters.
    ///
    /// # Errors
    ///
    /// Fails as [`Tensors::get`] does.
    pub fn all(&self) -> Result<Cow<'_, Weights>, ModelError> {
        match self.there.is_empty() {
            true => Ok(Cow::Borrowed(&self.here)),
            false => self.some(|_| true).map(Cow::Owned),
        }
    }

    /// Reads all parameters, and leaves none.
    ///
    /// # Errors
    ///
    /// Fails as [`Tensors::get`] does.
    pub fn take(&mut self) -> Result<Weights, ModelError> {
        let Tensors { mut here, there } = std::mem::take(self);
        for (name, stored) in there {
            here.insert(name, stored.read()?);
        }
        Ok(here)
    }

    /// Adds parameters, in place of those of the same names.
    pub fn extend(&mut self, weights: Weights) {
        self.there.retain(|name, _| !weights.contains_key(name));
        self.here.extend(weights);
    }

    /// Adds parameters that lie in files, in place of those of the same names.
    pub(super) fn extend_stored(&mut self, stored: impl IntoIterator<Item = (String, Stored)>) {
        for (name, stored) in stored {
            self.here.remove(&name);
            self.there.insert(name, stored);
        }
    }

    /// Adds all of others, in place of those of the same names.
    pub fn append(&mut self, others: Tensors) {
        self.extend_stored(others.there);
        self.extend(others.here);
    }

    /// Takes out the parameters whose names are wanted.
    pub fn split_off(&mut self, wanted: impl Fn(&str) -> bool) -> Tensors {
        let (here, kept) = std::mem::take(&mut self.here).into_iter().partition(|it| wanted(&it.0));
        self.here = kept;
        let (there, kept) =
            std::mem::take(&mut self.there).into_iter().partition(|it| wanted(&it.0));
        self.there = kept;
        Tensors { here, there }
    }

    /// Returns the file that holds these parameters and nothing else, as [`super::write::write`]
    /// writes them; `None` where there is no such file.
    pub(super) fn whole_file(&self) -> Option<&File> {
        let file = &self.there.values().next().filter(|_| self.here.is_empty())?.file;
        let is_as_written = |(name, stored): (&String, &Stored)| {
            Arc::ptr_eq(&stored.file, file) && stored.raw == *name && stored.dtype == Dtype::F32
        };
        let is_whole = file.tensors == self.there.len() && self.there.iter().all(is_as_written);
        is_whole.then_some(file)
    }
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|size| *size as u64).product()
}

/// A file of tensors that is kept open, so that it stays what it was.
#[derive(Debug)]
pub(super) struct File {
    pub path: PathBuf,
    /// How many tensors it holds.
    pub tensors: usize,
    open: Mutex<fs::File>,
}

impl File {
    pub(super) fn new(path: &Path, open: fs::File, tensors: usize) -> Arc<File> {
        Arc::new(File { path: path.to_owned(), tensors, open: Mutex::new(open) })
    }

    /// Reads a part of the file.
    fn bytes(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; length];
        open.seek(SeekFrom::Start(offset))?;
        open.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes the file another name; where the system does not let it, a copy.
    pub(super) fn link(&self, path: &Path) -> std::io::Result<()> {
        if fs::hard_link(&self.path, path).is_ok() {
            return Ok(());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.rewind()?;
        std::io::copy(&mut *open, &mut fs::File::create(path)?)?;
        Ok(())
    }
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub file: Arc<File>,
    /// Its name there.
    pub raw: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Bytes,
}

/// Where the bytes of a tensor are.
#[derive(Clone)]
pub(super) enum Bytes {
    At { offset: u64, length: usize },
    Pickled(pickled::Tensor),
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bytes::At { offset, length } => write!(f, "{length} bytes at {offset}"),
            Bytes::Pickled(_) => f.write_str("pickled"),
        }
    }
}

impl Stored {
    /// Reads the tensor in single precision.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read, and for numbers that are not finite.
    pub(super) fn read(&self) -> Result<ArrayD<f32>, ModelError> {
        let Stored { file, raw, dtype, shape, bytes } = self;
        let path = &file.path;
        let data = match bytes {
            _ if !is_float(*dtype) => Vec::new(),
            Bytes::At { offset, length } => file.bytes(*offset, *length)?,
            Bytes::Pickled(tensor) => pickled::bytes(path, tensor)?,
        };
        let values: Vec<f32> = match dtype {
            Dtype::F32 => numbers(&data, f32::from_le_bytes),
            Dtype::F16 => numbers(&data, |it| half::f16::from_le_bytes(it).to_f32()),
            Dtype::BF16 => numbers(&data, |it| half::bf16::from_le_bytes(it).to_f32()),
            Dtype::F64 => numbers(&data, |it| f64::from_le_bytes(it) as f32),
            other => {
                let (path, name) = (path.clone(), raw.clone());
                return Err(ModelError::DType { path, name, found: format!("{other:?}") });
            }
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { path: path.clone(), name: raw.clone() });
        }
        let wrong = |error| ModelError::Safetensors {
            path: path.clone(),
            detail: format!("`{raw}`: {error}"),
        };
        ArrayD::from_shape_vec(IxDyn(shape), values).map_err(wrong)
    }
}

/// Says whether numbers of this type are read.
pub(super) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64)
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (parts, _) = data.as_chunks();
    parts.iter().map(|part| number(*part)).collect()
}
