//! The digests of a folder's files, kept beside them in `digests.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::sealed;

/// The name of the list.
pub const FILE: &str = "digests.json";

/// How long a file may differ from the list while another process writes both anew.
const PATIENCE: Duration = Duration::from_millis(100);

/// The digests of files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    files: BTreeMap<String, Digest>,
}

/// A file of a run that cannot be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("`{file}` has changed since it was written")]
    #[diagnostic(help(
        "run its pipeline again, which writes it anew; what you changed yourself is read from a \
         copy in another folder"
    ))]
    Changed { file: PathBuf },
    #[error("`{file}` is missing")]
    #[diagnostic(help("run its pipeline again, which writes it anew"))]
    Missing { file: PathBuf },
}

impl Digests {
    /// Reads the list of a folder; `None` where it has none.
    ///
    /// # Errors
    ///
    /// Fails where the list has changed since it was written.
    pub fn read(folder: &Path) -> Result<Option<Digests>, ReadError> {
        let file = folder.join(FILE);
        match fs::read(&file) {
            Ok(bytes) => match sealed::open(&bytes) {
                Ok(digests) => Ok(Some(digests)),
                Err(_) => Err(ReadError::Changed { file }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds or replaces the digest of a file.
    pub fn set(&mut self, name: String, digest: Digest) {
        self.files.insert(name, digest);
    }

    /// Returns these digests with others, which replace those of the same files.
    pub fn with(mut self, others: &Digests) -> Digests {
        self.files.extend(others.files.iter().map(|(name, digest)| (name.clone(), *digest)));
        self
    }

    /// Returns the content of the list.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        sealed::seal(self)
    }

    /// Names the listed files that are missing or differ from their digests.
    pub fn changed(&self, folder: &Path) -> Vec<&str> {
        let differs = |(name, digest): &(&String, &Digest)| {
            Digest::of_file(&folder.join(name)).ok() != Some(**digest)
        };
        self.files.iter().filter(differs).map(|(name, _)| name.as_str()).collect()
    }
}

/// Reads a file, and compares it with its digest where the folder has a list that names it.
///
/// # Errors
///
/// Fails where the file, or the list, has changed since it was written.
pub fn read(file: &Path) -> Result<Vec<u8>, ReadError> {
    match read_once(file) {
        // A running sweep replaces its table, and then the list.
        Err(ReadError::Changed { .. }) => {
            std::thread::sleep(PATIENCE);
            read_once(file)
        }
        read => read,
    }
}

/// Says whether a file is there.
///
/// # Errors
///
/// Fails where it is not, although the folder's list names it: its absence says nothing then.
pub fn is_there(file: &Path) -> Result<bool, ReadError> {
    if file.is_file() {
        return Ok(true);
    }
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(false) };
    let list = Digests::read(folder)?.unwrap_or_default();
    match list.files.contains_key(&*name.to_string_lossy()) {
        true => Err(ReadError::Missing { file: file.to_owned() }),
        false => Ok(false),
    }
}

fn read_once(file: &Path) -> Result<Vec<u8>, ReadError> {
    let bytes = fs::read(file)?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return Ok(bytes) };
    let list = Digests::read(folder)?.unwrap_or_default();
    match list.files.get(&*name.to_string_lossy()) {
        Some(digest) if *digest != Digest::of(&bytes) => {
            Err(ReadError::Changed { file: file.to_owned() })
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_file_is_compared_and_others_are_read() -> Result<(), ReadError> {
        let folder = tempfile::tempdir()?;
        let (table, other) = (folder.path().join("table"), folder.path().join("other"));
        fs::write(&table, "one")?;
        fs::write(&other, "own")?;
        assert_eq!(read(&table)?, b"one");
        let mut list = Digests::default();
        list.set("table".to_owned(), Digest::of(b"one"));
        fs::write(folder.path().join(FILE), list.bytes()?)?;
        assert_eq!(read(&table)?, b"one");
        assert_eq!(list.changed(folder.path()), Vec::<&str>::new());
        fs::write(&table, "two")?;
        assert!(matches!(read(&table), Err(ReadError::Changed { file }) if file == table));
        assert_eq!(list.changed(folder.path()), ["table"]);
        assert_eq!(read(&other)?, b"own");
        fs::remove_file(&table)?;
        assert!(matches!(is_there(&table), Err(ReadError::Missing { .. })));
        assert!(is_there(&other)? && !is_there(&folder.path().join("none"))?);
        // Of a changed list nothing is known.
        fs::write(folder.path().join(FILE), "{}")?;
        assert!(matches!(read(&other), Err(ReadError::Changed { file }) if file.ends_with(FILE)));
        Ok(())
    }
}
