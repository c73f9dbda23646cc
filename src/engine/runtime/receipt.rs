//! Receipts of installed libraries: their digests, which are compared before they are loaded.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

use super::error::RuntimeError;
use crate::base::digest::Digest;
use crate::base::files::write_atomic;
use crate::base::memo;

/// The name of the receipt in the folder of the libraries.
const RECEIPT: &str = "digests.json";

/// Notes the digests of all files in a folder.
pub(super) fn note(folder: &Path) -> std::io::Result<()> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != RECEIPT && path.is_file() {
            digests.insert(name, Digest::of_file(&path)?);
        }
    }
    write_atomic(&folder.join(RECEIPT), &serde_json::to_vec_pretty(&digests)?)
}

/// Compares the files in a folder with the digests that were noted when they were installed. A
/// library loads others that lie beside it, so all of them are compared.
pub(super) fn check(folder: &Path) -> Result<(), RuntimeError> {
    let bytes = match fs::read(folder.join(RECEIPT)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // An earlier version of the program installed them. If the folder cannot be written,
            // they are used as they were until now.
            let _ = note(folder);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let changed =
        |name: &str| RuntimeError::Changed { path: folder.join(name), folder: folder.to_owned() };
    let digests: BTreeMap<String, Digest> =
        serde_json::from_slice(&bytes).map_err(|_| changed(RECEIPT))?;
    for (name, digest) in digests {
        let path = folder.join(&name);
        if !path.is_file() || memo::digest_of(&path)? != digest {
            return Err(changed(&name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_installed_is_loaded() -> Result<(), RuntimeError> {
        let root = tempfile::tempdir()?;
        let (library, beside) = (root.path().join("lib.so"), root.path().join("provider.so"));
        fs::write(&library, b"one")?;
        fs::write(&beside, b"two")?;
        let changed = || match check(root.path()) {
            Err(RuntimeError::Changed { path, .. }) => Ok(path),
            other => Err(other),
        };
        // A folder of an earlier version gets its receipt at its first use.
        assert!(check(root.path()).is_ok());
        assert!(root.path().join(RECEIPT).is_file());
        assert!(check(root.path()).is_ok());
        fs::write(&beside, b"ten")?;
        assert!(matches!(changed(), Ok(path) if path == beside));
        note(root.path())?;
        assert!(check(root.path()).is_ok());
        fs::remove_file(&library)?;
        assert!(matches!(changed(), Ok(path) if path == library));
        fs::write(root.path().join(RECEIPT), b"{")?;
        assert!(matches!(changed(), Ok(path) if path.ends_with(RECEIPT)));
        Ok(())
    }
}
