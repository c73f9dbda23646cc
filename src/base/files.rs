//! Files and folders that are written atomically.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::digest::Digest;
use super::digests::{self, Digests};

/// What the names of files and folders begin with that are being written.
pub const TEMPORARY: &str = ".tmp-";

/// Writes a file atomically: to a temporary file beside it, flushed to the disk, then renamed over
/// it.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let mut files = AtomicFiles::new(parent(path));
    files.add(name, bytes)?;
    files.commit()
}

/// Writes a file atomically as [`write_atomic`] does, by work that writes it under another name.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let unfinished = folder.join(format!("{TEMPORARY}{}", name.to_string_lossy()));
    write(&unfinished)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder(folder)
}

/// Files of one folder that appear in order, each written atomically. The folder is flushed once
/// for all of them.
#[derive(Debug)]
pub struct AtomicFiles {
    folder: PathBuf,
    files: Vec<(tempfile::NamedTempFile, PathBuf)>,
    digests: Digests,
}

impl AtomicFiles {
    /// Starts an empty set; no file gets its name before [`AtomicFiles::commit`].
    pub fn new(folder: &Path) -> AtomicFiles {
        let (files, digests) = (Vec::new(), Digests::default());
        AtomicFiles { folder: folder.to_owned(), files, digests }
    }

    /// Returns the folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file under a temporary name.
    pub fn add(&mut self, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = ordinary(tempfile::Builder::new().prefix(TEMPORARY), 0o666)
            .tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        let name = name.as_ref();
        self.digests.set(name.to_string_lossy().into_owned(), Digest::of(bytes));
        self.files.push((file, self.folder.join(name)));
        Ok(())
    }

    /// Adds the list of the folder's digests, with those of the files so far. See [`digests`].
    pub fn add_digests(&mut self) -> io::Result<()> {
        // Of a list that has changed since it was written, nothing is taken over.
        let known = Digests::read(&self.folder).ok().flatten().unwrap_or_default();
        let bytes = known.with(&self.digests).bytes()?;
        self.add(digests::FILE, &bytes)
    }

    /// Flushes the files, then gives them their names in the order in which they were added.
    pub fn commit(self) -> io::Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        for (file, _) in &self.files {
            file.as_file().sync_all()?;
        }
        let folder = self.folder.clone();
        self.commit_unflushed()?;
        sync_folder(&folder)
    }

    /// Gives the files their names without waiting for the disk: a killed program leaves them
    /// whole, a power failure may truncate them. Use it only for files that can be recomputed and
    /// whose damage is detected.
    pub fn commit_unflushed(self) -> io::Result<()> {
        for (file, path) in self.files {
            file.persist(path).map_err(|error| error.error)?;
        }
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Fills a folder atomically: `fill` writes into a temporary folder beside `path`, which is then
/// flushed and renamed to it. If `path` exists by then (another process was faster), the existing
/// folder stays.
pub fn create_folder_atomic<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (parent, folder) = filled(path, fill)?;
    match fs::rename(folder.path(), path) {
        Ok(()) => {
            let _ = folder.keep();
        }
        Err(_) if path.is_dir() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(sync_folder(parent)?)
}

/// Gives a filled folder its place: flushes it and renames it, or copies it where the two places
/// are on different file systems. If `path` exists by then, the existing folder stays.
pub fn place_folder(from: &Path, path: &Path) -> io::Result<()> {
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    sync_tree(from)?;
    match fs::rename(from, path) {
        Ok(()) => sync_folder(parent),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            create_folder_atomic(path, |into| copy_tree(from, into))
        }
        Err(error) => Err(error),
    }
}

/// Copies the files and folders of a folder into another.
fn copy_tree(from: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Fills a folder like [`create_folder_atomic`] and replaces an existing one, which stays until the
/// new one is completely on the disk. The caller must exclude concurrent replacements.
pub fn replace_folder_atomic<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let (parent, folder) = filled(path, fill)?;
    let aside = match path.exists() {
        true => Some(tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent)?),
        false => None,
    };
    let old = aside.as_ref().map(|aside| aside.path().join("old"));
    if let Some(old) = &old {
        fs::rename(path, old)?;
    }
    if let Err(error) = fs::rename(folder.path(), path) {
        if let Some(old) = &old {
            fs::rename(old, path)?;
        }
        return Err(error.into());
    }
    let _ = folder.keep();
    Ok(sync_folder(parent)?)
}

/// Fills a temporary folder beside `path` and flushes it; returns the parent folder and the
/// temporary one.
fn filled<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(&Path, tempfile::TempDir), E> {
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    let folder = ordinary(tempfile::Builder::new().prefix(TEMPORARY), 0o777).tempdir_in(parent)?;
    fill(folder.path())?;
    sync_tree(folder.path())?;
    Ok((parent, folder))
}

/// Creates files with the usual permissions (`mode` less the user's umask); temporary files are
/// private by default.
fn ordinary<'a, 'b, 'c>(
    builder: &'a mut tempfile::Builder<'b, 'c>,
    mode: u32,
) -> &'a mut tempfile::Builder<'b, 'c> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Flushes every file below a folder, and the folders themselves.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            fs::File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Flushes a folder's list of names; otherwise a power failure may undo a rename.
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fill_leaves_nothing() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let target = root.path().join("whole");
        let failed = create_folder_atomic(&target, |folder| {
            fs::write(folder.join("half"), b"x")?;
            Err(io::Error::other("stopped"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(root.path())?.count(), 0);
        create_folder_atomic(&target, |folder| fs::write(folder.join("file"), b"x"))?;
        assert_eq!(fs::read(target.join("file"))?, b"x");
        Ok(())
    }

    #[test]
    fn a_filled_folder_gets_its_place() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let fill = |name: &str| {
            let folder = root.path().join(name);
            fs::create_dir_all(folder.join("deep"))?;
            fs::write(folder.join("deep/file"), name)?;
            io::Result::Ok(folder)
        };
        let target = root.path().join("new/place");
        place_folder(&fill("one")?, &target)?;
        // Another process was faster.
        place_folder(&fill("two")?, &target)?;
        assert_eq!(fs::read(target.join("deep/file"))?, b"one");
        let copy = root.path().join("copy");
        create_folder_atomic(&copy, |into| copy_tree(&target, into))?;
        assert_eq!(fs::read(copy.join("deep/file"))?, b"one");
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_umask_lets_them() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir()?;
        let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
        let (file, folder) = (root.path().join("file"), root.path().join("folder"));
        fs::write(root.path().join("plain"), b"x")?;
        fs::create_dir(root.path().join("plain-folder"))?;
        write_atomic(&file, b"x")?;
        create_folder_atomic(&folder, |_| io::Result::Ok(()))?;
        assert_eq!(mode(&file)?, mode(&root.path().join("plain"))?);
        assert_eq!(mode(&folder)?, mode(&root.path().join("plain-folder"))?);
        Ok(())
    }

    #[test]
    fn files_have_no_names_before_all_are_written() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("deep");
        let mut files = AtomicFiles::new(&folder);
        files.add("a", b"one")?;
        files.add("b", b"two")?;
        assert!(!folder.join("a").exists() && !folder.join("b").exists());
        drop(files);
        assert_eq!(fs::read_dir(&folder)?.count(), 0);
        let mut files = AtomicFiles::new(&folder);
        files.add("a", b"one")?;
        files.add("b", b"two")?;
        files.commit()?;
        assert_eq!(fs::read(folder.join("a"))?, b"one");
        assert_eq!(fs::read(folder.join("b"))?, b"two");
        assert_eq!(fs::read_dir(&folder)?.count(), 2);
        AtomicFiles::new(&root.path().join("none")).commit()
    }

    #[test]
    fn a_file_is_replaced_whole() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("deep/file");
        write_atomic(&path, b"one")?;
        write_atomic(&path, b"two")?;
        assert_eq!(fs::read(&path)?, b"two");
        assert_eq!(fs::read_dir(root.path().join("deep"))?.count(), 1);
        Ok(())
    }
}
