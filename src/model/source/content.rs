//! The digest of a model folder.

use std::path::Path;

use crate::base::digest::Digest;
use crate::base::memo;
use crate::model::ModelError;
use crate::model::pretrained::model_files;

/// Returns the digest of the files that make up a model: their names and their content.
pub fn content(folder: &Path) -> Result<Digest, ModelError> {
    let mut text = String::new();
    for path in model_files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if !path.is_file() {
            return Err(ModelError::MissingFile { folder: folder.to_owned(), file: name });
        }
        text.push_str(&format!("{} {name}\n", memo::digest_of(&path)?));
    }
    Ok(Digest::of(text.as_bytes()))
}
