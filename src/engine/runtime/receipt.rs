//! Receipts of installed libraries: their digests, which are compared before they are loaded.

use std::path::Path;

use super::error::RuntimeError;
use crate::base::digests::{self, Digests};
use crate::base::files::write_atomic;
use crate::base::memo;

/// Notes the digests of all files in a folder.
pub(super) fn note(folder: &Path) -> std::io::Result<()> {
    write_atomic(&folder.join(digests::FILE), &Digests::of_folder(folder)?.bytes()?)
}

/// Compares the files in a folder with the digests that were noted when they were installed. A
/// library loads others that lie beside it, so all of them are compared.
pub(super) fn check(folder: &Path) -> Result<(), RuntimeError> {
    let changed =
        |name: &str| RuntimeError::Changed { path: folder.join(name), folder: folder.to_owned() };
    match Digests::read(folder) {
        Ok(Some(noted)) => match noted.changed_by(folder, memo::digest_of).first() {
            Some(name) => Err(changed(name)),
            None => Ok(()),
        },
        Ok(None) => {
            // An earlier version of the program installed them. If the folder cannot be written,
            // they are used as they were until now.
            let _ = note(folder);
            Ok(())
        }
        Err(_) => Err(changed(digests::FILE)),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

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
        assert!(root.path().join(digests::FILE).is_file());
        assert!(check(root.path()).is_ok());
        fs::write(&beside, b"ten")?;
        assert!(matches!(changed(), Ok(path) if path == beside));
        note(root.path())?;
        assert!(check(root.path()).is_ok());
        fs::remove_file(&library)?;
        assert!(matches!(changed(), Ok(path) if path == library));
        fs::write(root.path().join(digests::FILE), b"{")?;
        assert!(matches!(changed(), Ok(path) if path.ends_with(digests::FILE)));
        Ok(())
    }
}
