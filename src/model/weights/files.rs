//! The files that hold a model's weights.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::pickled;
use super::write::{HEAD, WHOLE};
use crate::base::limit;
use crate::model::beside::ADAPTER;
use crate::model::error::ModelError;
use crate::model::sentences::Dense;

/// The table of contents of many files.
const INDEX: &str = "model.safetensors.index.json";

/// Returns the files that hold a folder's weights, the index of a sharded model first.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let whole = folder.join(WHOLE);
    if whole.is_file() {
        let head = Some(folder.join(HEAD)).filter(|head| head.is_file());
        return Ok([whole].into_iter().chain(head).collect());
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

/// Returns the file that holds the parameters of a dense layer over the encoder.
pub fn file_of(folder: &Path, dense: &Dense) -> Result<PathBuf, ModelError> {
    let module = folder.join(&dense.module);
    let found = [WHOLE, pickled::WHOLE].map(|name| module.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| ModelError::MissingFile { folder: module, file: WHOLE.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

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
