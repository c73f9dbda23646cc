//! model.safetensors: decoding to single precision, and the names that files give their tensors.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fs_err as fs;
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, View};

use super::encoders::Config;
use super::error::ModelError;
use super::network::{headless, parameters};

/// Parameters by their Hugging Face name.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// The one file of weights, and the table of contents of many.
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Returns the files that hold a folder's weights, the index of a sharded model first.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let whole = folder.join(WHOLE);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let index = folder.join(INDEX);
    if index.is_file() {
        let mut files = vec![index.clone()];
        files.extend(shards(&index)?.into_iter().map(|name| folder.join(name)));
        return Ok(files);
    }
    for file in
        ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"]
    {
        if folder.join(file).is_file() {
            return Err(ModelError::PickledWeights {
                folder: folder.to_owned(),
                file: file.to_owned(),
            });
        }
    }
    Err(ModelError::MissingFile { folder: folder.to_owned(), file: WHOLE.to_owned() })
}

/// Reads the encoder's parameters, named relative to the encoder, and of the others those that
/// `wanted` says, by the names that they have. Everything else (other heads, buffers) is left out.
pub fn read(
    folder: &Path,
    config: &Config,
    wanted: impl Fn(&str) -> bool,
) -> Result<Weights, ModelError> {
    let files = files(folder)?;
    let mut weights = Weights::new();
    let mut names = Vec::new();
    let tensors = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    let mut contents = Vec::new();
    for path in tensors {
        if !path.is_file() {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(ModelError::MissingFile { folder: folder.to_owned(), file });
        }
        let bytes = fs::read(path)?;
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(ModelError::LfsPointer { path: path.clone() });
        }
        contents.push((path, bytes));
    }
    let mut parsed = Vec::new();
    for (path, bytes) in &contents {
        let file = SafeTensors::deserialize(bytes).map_err(|error| ModelError::Safetensors {
            path: path.to_path_buf(),
            detail: describe(&error, bytes.len()),
        })?;
        names.extend(file.names().into_iter().map(str::to_owned));
        parsed.push((*path, file));
    }

    let graph = headless(config)?;
    let prefix = prefix(&names, graph.word_table().unwrap_or_default());
    let parameters = parameters(&graph);
    let shapes: BTreeMap<&str, &[usize]> =
        parameters.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    for (path, file) in &parsed {
        for (raw, view) in file.iter() {
            let name = relative(raw, &prefix);
            let expected = shapes.get(name.as_str());
            if expected.is_none() && !wanted(&name) {
                continue;
            }
            if let Some(expected) = expected
                && view.shape() != *expected
            {
                return Err(ModelError::Shape {
                    path: path.to_path_buf(),
                    name: raw.to_owned(),
                    expected: expected.to_vec(),
                    found: view.shape().to_vec(),
                });
            }
            weights.insert(name, decode(path, raw, &view)?);
        }
    }
    match parameters.into_iter().find(|(name, _)| !weights.contains_key(name)) {
        Some((name, expected)) => {
            let path = files.into_iter().next().unwrap_or_else(|| folder.to_owned());
            Err(ModelError::MissingTensor { path, name: format!("{prefix}{name}"), expected })
        }
        None => Ok(weights),
    }
}

/// Writes weights into `folder` as one file, each under the name that `rename` gives it.
pub fn write(
    folder: &Path,
    weights: &Weights,
    rename: impl Fn(&str) -> String,
) -> Result<(), ModelError> {
    let path = folder.join(WHOLE);
    let views: Vec<(String, Floats<'_>)> =
        weights.iter().map(|(name, array)| (rename(name), Floats::of(array))).collect();
    // `transformers` refuses a file that does not say which framework's layout it has.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // Not the crate's own writer of files, which replaces what is there by a private one.
    let file = safetensors::serialize(views, Some(metadata)).map_err(|error| {
        ModelError::Safetensors { path: path.clone(), detail: error.to_string() }
    })?;
    Ok(fs::write(&path, file)?)
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

/// Returns the distinct files that an index names, in the order of their names.
fn shards(index: &Path) -> Result<Vec<String>, ModelError> {
    let wrong =
        |detail: &str| ModelError::Json { path: index.to_owned(), detail: detail.to_owned() };
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(index)?).map_err(|error| wrong(&error.to_string()))?;
    let map = json
        .get("weight_map")
        .and_then(|map| map.as_object())
        .ok_or_else(|| wrong("it has no object `weight_map`"))?;
    let mut names = std::collections::BTreeSet::new();
    for value in map.values() {
        let name = value
            .as_str()
            .ok_or_else(|| wrong("`weight_map` has values that are not file names"))?;
        let plain = Path::new(name).file_name().is_some_and(|own| own == name)
            && name.ends_with(".safetensors");
        if !plain {
            return Err(wrong(&format!(
                "`weight_map` names `{name}`; expected a safetensors file of the same folder"
            )));
        }
        names.insert(name.to_owned());
    }
    Ok(names.into_iter().collect())
}

/// Returns what stands before the encoder's names in a file: `bert.`, `0.auto_model.`, nothing. The
/// word table tells it.
fn prefix(names: &[String], word_table: &str) -> String {
    names
        .iter()
        .filter_map(|name| name.strip_suffix(word_table))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .min_by_key(|prefix| prefix.len())
        .unwrap_or_default()
        .to_owned()
}

/// Returns a tensor's name relative to the encoder, in today's spelling.
fn relative(name: &str, prefix: &str) -> String {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    // TensorFlow's names, which the first BERT files have.
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

fn decode(path: &Path, name: &str, view: &TensorView<'_>) -> Result<ArrayD<f32>, ModelError> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        Dtype::F16 => {
            data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::BF16 => {
            data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        other => {
            return Err(ModelError::DType {
                path: path.to_owned(),
                name: name.to_owned(),
                found: format!("{other:?}"),
            });
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::NotFinite { path: path.to_owned(), name: name.to_owned() });
    }
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).map_err(|error| ModelError::Safetensors {
        path: path.to_owned(),
        detail: format!("`{name}`: {error}"),
    })
}

fn describe(error: &SafeTensorError, size: usize) -> String {
    match error {
        SafeTensorError::HeaderTooSmall => format!("it has {size} bytes, fewer than a header"),
        SafeTensorError::InvalidHeaderLength | SafeTensorError::HeaderTooLarge => {
            format!("its header is longer than the file of {size} bytes")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("its header describes a size other than its {size} bytes")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_old_names_go() {
        let prefix_of = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            prefix(&names, "embeddings.word_embeddings.weight")
        };
        assert_eq!(
            prefix_of(&["cls.predictions.bias", "bert.embeddings.word_embeddings.weight"]),
            "bert."
        );
        assert_eq!(prefix_of(&["0.auto_model.embeddings.word_embeddings.weight"]), "0.auto_model.");
        assert_eq!(prefix_of(&["embeddings.word_embeddings.weight"]), "");
        assert_eq!(prefix_of(&["my_embeddings.word_embeddings.weight"]), "");
        assert_eq!(
            relative("bert.encoder.layer.0.output.LayerNorm.gamma", "bert."),
            "encoder.layer.0.output.LayerNorm.weight"
        );
        assert_eq!(
            relative("bert.embeddings.LayerNorm.beta", "bert."),
            "embeddings.LayerNorm.bias"
        );
        assert_eq!(relative("classifier.weight", "bert."), "classifier.weight");
    }

    #[test]
    fn shards_stay_in_the_folder() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let index = root.path().join(INDEX);
        fs::write(
            &index,
            r#"{"weight_map": {"a": "b.safetensors", "c": "a.safetensors", "d": "a.safetensors"}}"#,
        )?;
        assert_eq!(
            shards(&index).ok(),
            Some(vec!["a.safetensors".to_owned(), "b.safetensors".to_owned()])
        );
        for bad in [
            r#"{"weight_map": {"a": "../x.safetensors"}}"#,
            r#"{"weight_map": {"a": 1}}"#,
            "{}",
            "{",
        ] {
            fs::write(&index, bad)?;
            assert!(matches!(shards(&index), Err(ModelError::Json { .. })), "{bad}");
        }
        Ok(())
    }
}
