//! model.safetensors: decoding to single precision, and the names that files give their tensors.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fs_err as fs;
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView, View};

use super::beside::ADAPTER;
use super::encoders::Config;
use super::error::ModelError;
use super::network::{headless, parameters};
use super::sentences::Dense;
use crate::base::limit;

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
    let index = folder.join(INDEX);
    if index.is_file() {
        let mut files = vec![index.clone()];
        files.extend(shards(&index)?.into_iter().map(|name| folder.join(name)));
        return Ok(files);
    }
    if folder.join(ADAPTER).is_file() {
        return Err(ModelError::Adapter { folder: folder.to_owned() });
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
        if bytes.starts_with(LFS) {
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
    let word_table = graph.word_table().unwrap_or_default();
    let prefixes = Prefixes::of(&names, word_table, config.encoder.prefix).map_err(|found| {
        ModelError::TwoEncoders { folder: folder.to_owned(), one: found.0, other: found.1 }
    })?;
    let parameters = parameters(&graph);
    let shapes: BTreeMap<&str, &[usize]> =
        parameters.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    let mut ignored = Vec::new();
    let mut origins: BTreeMap<String, String> = BTreeMap::new();
    for (path, file) in &parsed {
        for (raw, view) in file.iter() {
            let is_known = |name: &String| shapes.contains_key(name.as_str()) || wanted(name);
            let Some(name) = prefixes.names(raw).into_iter().find(is_known) else {
                ignored.push(raw.to_owned());
                continue;
            };
            let expected = shapes.get(name.as_str());
            if let Some(other) = origins.insert(name.clone(), raw.to_owned()) {
                let (path, one) = (path.to_path_buf(), raw.to_owned());
                return Err(ModelError::TwoTensors { path, one, other, name });
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
            let name = format!("{}{name}", prefixes.encoder);
            Err(ModelError::MissingTensor { path, name, expected })
        }
        None => Ok((weights, ignored)),
    }
}

/// Returns the file that holds the parameters of a dense layer over the encoder.
pub fn file_of(folder: &Path, dense: &Dense) -> Result<PathBuf, ModelError> {
    const PICKLED: &str = "pytorch_model.bin";
    let module = folder.join(&dense.module);
    let path = module.join(WHOLE);
    match (path.is_file(), module.join(PICKLED).is_file()) {
        (true, _) => Ok(path),
        (false, true) => {
            Err(ModelError::PickledModule { folder: module, file: PICKLED.to_owned() })
        }
        (false, false) => Err(ModelError::MissingFile { folder: module, file: WHOLE.to_owned() }),
    }
}

/// Reads the parameters of a dense layer over the encoder.
pub fn read_dense(folder: &Path, dense: &Dense) -> Result<Weights, ModelError> {
    let path = file_of(folder, dense)?;
    let bytes = fs::read(&path)?;
    if bytes.starts_with(LFS) {
        return Err(ModelError::LfsPointer { path });
    }
    let file = SafeTensors::deserialize(&bytes).map_err(|error| ModelError::Safetensors {
        path: path.clone(),
        detail: describe(&error, bytes.len()),
    })?;
    let mut weights = Weights::new();
    for (name, expected) in dense.parameters() {
        let own = name.strip_prefix(&dense.module).and_then(|own| own.strip_prefix('.'));
        let own = own.unwrap_or(&name).to_owned();
        let Ok(view) = file.tensor(&own) else {
            return Err(ModelError::MissingTensor { path, name: own, expected });
        };
        if view.shape() != expected {
            let found = view.shape().to_vec();
            return Err(ModelError::Shape { path, name: own, expected, found });
        }
        weights.insert(name, decode(&path, &own, &view)?);
    }
    Ok(weights)
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
