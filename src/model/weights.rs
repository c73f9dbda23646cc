//! model.safetensors or pytorch_model.bin: decoding to single precision, and the names that files
//! give their tensors.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fs_err as fs;
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, View};

use super::beside::ADAPTER;
use super::encoders::Config;
use super::error::ModelError;
use super::network::{headless, parameters};
use super::pickled;
use super::sentences::Dense;
use crate::base::limit::{self, Limit};

/// Parameters by their Hugging Face name.
pub type Weights = BTreeMap<String, ArrayD<f32>>;

/// The one file of weights, and the table of contents of many.
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// How a file begins that stands for one in Git LFS.
const LFS: &[u8] = b"version https://git-lfs";

/// Returns the files that hold a folder's weights, the index of a sharded model first.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let whole = folder.join(WHOLE);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let pickled = folder.join(pickled::WHOLE);
    for (index, ending) in [(INDEX, ".safetensors"), (pickled::INDEX, ".bin")] {
        let index = folder.join(index);
        if ending == ".bin" && pickled.is_file() {
            return Ok(vec![pickled]);
        }
        if index.is_file() {
            let mut files = vec![index.clone()];
            files.extend(shards(&index, ending)?.into_iter().map(|name| folder.join(name)));
            return Ok(files);
        }
    }
    if folder.join(ADAPTER).is_file() {
        return Err(ModelError::Adapter { folder: folder.to_owned() });
    }
    for file in ["tf_model.h5", "flax_model.msgpack"] {
        if folder.join(file).is_file() {
            return Err(ModelError::OtherWeights {
                folder: folder.to_owned(),
                file: file.to_owned(),
            });
        }
    }
    Err(ModelError::MissingFile { folder: folder.to_owned(), file: WHOLE.to_owned() })
}

/// Reads the encoder's parameters, named relative to the encoder, and of the others those that
/// `wanted` says, by the names that they have. Everything else (other heads, buffers) is left out;
/// returns its names too.
pub fn read(
    folder: &Path,
    config: &Config,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Weights, Vec<String>), ModelError> {
    let files = files(folder)?;
    let mut weights = Weights::new();
    let mut names = Vec::new();
    let is_index = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
    let mut contents = Vec::new();
    for path in files.iter().filter(|path| !is_index(path)) {
        if !path.is_file() {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(ModelError::MissingFile { folder: folder.to_owned(), file });
        }
        contents.push((path, content(path)?));
    }
    let mut parsed = Vec::new();
    for (path, bytes) in &contents {
        let tensors = tensors(path, bytes)?;
        names.extend(tensors.iter().map(|(name, _)| name.clone()));
        parsed.push((*path, tensors));
    }

    let graph = headless(config)?;
    let word_table = graph.word_table().unwrap_or_default();
    let prefixes = Prefixes::of(&names, word_table, config.encoder.prefix).map_err(|found| {
        ModelError::TwoEncoders { folder: folder.to_owned(), one: found.0, other: found.1 }
    })?;
    let parameters = parameters(&graph);
    let shapes: BTreeMap<&str, &[usize]> =
        parameters.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let mut ignored = Vec::new();
    let mut origins: BTreeMap<String, String> = BTreeMap::new();
    for (path, tensors) in &parsed {
        // A pickle may name one tensor many times, and tensors that are larger than their bytes.
        let limit = Limit::of(path, fs::metadata(path)?.len(), 0)?;
        let mut total = 0;
        for (raw, tensor) in tensors {
            let is_known = |name: &String| shapes.contains_key(name.as_str()) || wanted(name);
            let Some(name) = prefixes.names(raw).into_iter().find(is_known) else {
                ignored.push(raw.clone());
                continue;
            };
            let expected = shapes.get(name.as_str());
            if let Some(other) = origins.insert(name.clone(), raw.clone()) {
                let (path, one) = (path.to_path_buf(), raw.clone());
                return Err(ModelError::TwoTensors { path, one, other, name });
            }
            if let Some(expected) = expected
                && tensor.shape != *expected
            {
                return Err(ModelError::Shape {
                    path: path.to_path_buf(),
                    name: raw.clone(),
                    expected: expected.to_vec(),
                    found: tensor.shape.clone(),
                });
            }
            if let Source::Pickled(pickled) = &tensor.source {
                total += pickled.byte_len() as u64;
                limit.check(total)?;
            }
            weights.insert(name, decode(path, raw, tensor)?);
        }
    }
    match parameters.into_iter().find(|(name, _)| !weights.contains_key(name)) {
        Some((name, expected)) => {
            let path = files.into_iter().next().unwrap_or_else(|| folder.to_owned());
            let name = format!("{}{name}", prefixes.encoder);
            Err(ModelError::MissingTensor { path, name, expected })
        }
        None => Ok((weights, ignored)),
    }
}

/// Returns the file that holds the parameters of a dense layer over the encoder.
pub fn file_of(folder: &Path, dense: &Dense) -> Result<PathBuf, ModelError> {
    let module = folder.join(&dense.module);
    let found = [WHOLE, pickled::WHOLE].map(|name| module.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| ModelError::MissingFile { folder: module, file: WHOLE.to_owned() })
}

/// Reads the parameters of a dense layer over the encoder.
pub fn read_dense(folder: &Path, dense: &Dense) -> Result<Weights, ModelError> {
    let path = file_of(folder, dense)?;
    let bytes = content(&path)?;
    let tensors = tensors(&path, &bytes)?;
    let mut weights = Weights::new();
    for (name, expected) in dense.parameters() {
        let own = name.strip_prefix(&dense.module).and_then(|own| own.strip_prefix('.'));
        let own = own.unwrap_or(&name).to_owned();
        let Some((_, tensor)) = tensors.iter().find(|(name, _)| *name == own) else {
            return Err(ModelError::MissingTensor { path, name: own, expected });
        };
        if tensor.shape != expected {
            let found = tensor.shape.clone();
            return Err(ModelError::Shape { path, name: own, expected, found });
        }
        weights.insert(name, decode(&path, &own, tensor)?);
    }
    Ok(weights)
}

/// Says whether a file is one of PyTorch's, whose tensors are read one by one.
fn is_pickled(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "bin")
}

/// Returns the bytes of a file of weights; none of one of PyTorch's.
fn content(path: &Path) -> Result<Vec<u8>, ModelError> {
    let bytes = if is_pickled(path) { Vec::new() } else { fs::read(path)? };
    if bytes.starts_with(LFS) {
        return Err(ModelError::LfsPointer { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Returns the tensors of a file of weights by name.
fn tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(String, Stored<'a>)>, ModelError> {
    if is_pickled(path) { pickled(path) } else { safe(path, bytes) }
}

/// Reads every tensor of a folder's model.safetensors, by its name there.
pub fn read_whole(folder: &Path) -> Result<Weights, ModelError> {
    let path = folder.join(WHOLE);
    let bytes = content(&path)?;
    let tensors = tensors(&path, &bytes)?.into_iter();
    tensors.map(|(name, tensor)| Ok((name.clone(), decode(&path, &name, &tensor)?))).collect()
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

/// A tensor of a file.
struct Stored<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    source: Source<'a>,
}

/// Where the bytes of a tensor are.
enum Source<'a> {
    Here(&'a [u8]),
    Pickled(pickled::Tensor),
}

/// Returns the tensors of a safetensors file.
fn safe<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(String, Stored<'a>)>, ModelError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| ModelError::Safetensors {
        path: path.to_path_buf(),
        detail: describe(&error, bytes.len()),
    })?;
    let stored = |(name, view): (&str, safetensors::tensor::TensorView<'a>)| {
        let (dtype, shape) = (view.dtype(), view.shape().to_vec());
        (name.to_owned(), Stored { dtype, shape, source: Source::Here(view.data()) })
    };
    Ok(file.iter().map(stored).collect())
}

/// Returns the tensors of a file of PyTorch's.
fn pickled(path: &Path) -> Result<Vec<(String, Stored<'static>)>, ModelError> {
    let stored = |(name, tensor): (String, pickled::Tensor)| {
        let (dtype, shape) = (pickled::dtype(&tensor), tensor.shape().to_vec());
        (name, Stored { dtype, shape, source: Source::Pickled(tensor) })
    };
    Ok(pickled::open(path)?.into_iter().map(stored).collect())
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

/// Returns the distinct files that an index names, in the order of their names. Their names have
/// this ending.
fn shards(index: &Path, ending: &str) -> Result<Vec<String>, ModelError> {
    let wrong =
        |detail: &str| ModelError::Json { path: index.to_owned(), detail: detail.to_owned() };
    limit::check_json(index)?;
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
        let plain =
            Path::new(name).file_name().is_some_and(|own| own == name) && name.ends_with(ending);
        if !plain {
            return Err(wrong(&format!(
                "`weight_map` names `{name}`; expected a file of the same folder that ends with \
                 `{ending}`"
            )));
        }
        names.insert(name.to_owned());
    }
    Ok(names.into_iter().collect())
}

/// What stands before the names in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefixes {
    /// Before those of the encoder: `bert.`, `0.auto_model.`, `module.bert.`, nothing.
    encoder: String,
    /// Before those of the heads, where a wrapper around the whole model was saved with it:
    /// `module.`, `_orig_mod.`.
    wrapper: String,
}

impl Prefixes {
    /// Finds them: the word table tells. `usual` stands before the encoder's names in files of a
    /// whole model. Fails with two of the places where encoders stand if neither is the usual one.
    fn of(names: &[String], word_table: &str, usual: &str) -> Result<Prefixes, (String, String)> {
        let mut found: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix(word_table))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .collect();
        found.sort_by_key(|prefix| (*prefix != usual, prefix.len(), *prefix));
        let encoder = match found.as_slice() {
            [] => "",
            [one, other, ..] if !one.is_empty() && *one != usual && one != other => {
                return Err((format!("{one}{word_table}"), format!("{other}{word_table}")));
            }
            [one, ..] => one,
        };
        let wrapper = encoder.strip_suffix(usual).unwrap_or(encoder);
        Ok(Prefixes { encoder: encoder.to_owned(), wrapper: wrapper.to_owned() })
    }

    /// Returns what a tensor may be called relative to the encoder or in today's spelling, the
    /// likeliest first.
    fn names(&self, raw: &str) -> Vec<String> {
        let mut names: Vec<String> = [self.encoder.as_str(), self.wrapper.as_str(), ""]
            .iter()
            .filter_map(|prefix| raw.strip_prefix(prefix))
            .map(modern)
            .collect();
        names.dedup();
        names
    }
}

/// Returns a name in today's spelling.
fn modern(name: &str) -> String {
    // TensorFlow's names, which the first BERT files have.
    match name.rsplit_once('.') {
        Some((module, "gamma")) => format!("{module}.weight"),
        Some((module, "beta")) => format!("{module}.bias"),
        _ => name.to_owned(),
    }
}

fn decode(path: &Path, name: &str, tensor: &Stored<'_>) -> Result<ArrayD<f32>, ModelError> {
    let data = match &tensor.source {
        _ if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64) => {
            Cow::Borrowed(&[][..])
        }
        Source::Here(bytes) => Cow::Borrowed(*bytes),
        Source::Pickled(tensor) => Cow::Owned(pickled::bytes(path, tensor)?),
    };
    let values: Vec<f32> = match tensor.dtype {
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
    ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).map_err(|error| ModelError::Safetensors {
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
        let words = "embeddings.word_embeddings.weight";
        let of = |names: &[String]| Prefixes::of(names, words, "bert.");
        let found = |prefix: &str| {
            let names = [format!("{prefix}{words}"), "cls.predictions.bias".to_owned()];
            of(&names).map(|found| (found.encoder, found.wrapper))
        };
        for (prefix, wrapper) in [
            ("bert.", ""),
            ("", ""),
            ("0.auto_model.", "0.auto_model."),
            ("module.bert.", "module."),
            ("_orig_mod.module.bert.", "_orig_mod.module."),
            ("model.", "model."),
        ] {
            assert_eq!(found(prefix), Ok((prefix.to_owned(), wrapper.to_owned())));
        }
        assert_eq!(found("my_"), Ok((String::new(), String::new())));
        let two = |one: &str, other: &str| {
            of(&[format!("{one}{words}"), format!("{other}{words}")]).map(|found| found.encoder)
        };
        assert_eq!(two("teacher.bert.", "bert."), Ok("bert.".to_owned()));
        assert_eq!(two("teacher.bert.", ""), Ok(String::new()));
        let both = (format!("query.{words}"), format!("passage.{words}"));
        assert_eq!(two("passage.", "query."), Err(both));
        let wrapped = Prefixes { encoder: "module.bert.".into(), wrapper: "module.".into() };
        let name = "module.bert.encoder.layer.0.output.LayerNorm.gamma";
        assert_eq!(wrapped.names(name)[0], "encoder.layer.0.output.LayerNorm.weight");
        assert_eq!(wrapped.names("module.classifier.beta")[0], "classifier.bias");
        assert_eq!(wrapped.names("classifier.weight"), ["classifier.weight"]);
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
            shards(&index, ".safetensors").ok(),
            Some(vec!["a.safetensors".to_owned(), "b.safetensors".to_owned()])
        );
        for bad in [
            r#"{"weight_map": {"a": "../x.safetensors"}}"#,
            r#"{"weight_map": {"a": "b.bin"}}"#,
            r#"{"weight_map": {"a": 1}}"#,
            "{}",
            "{",
        ] {
            fs::write(&index, bad)?;
            assert!(
                matches!(shards(&index, ".safetensors"), Err(ModelError::Json { .. })),
                "{bad}"
            );
        }
        Ok(())
    }
}
