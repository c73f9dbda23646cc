//! The hub's cache on the disk: `models--ORG--NAME/{blobs,refs,snapshots}`.
//!
//! A blob is a file's content under the name that the server gives it (its etag). A snapshot is a
//! commit: a folder of links to blobs under the files' own names. A ref says which commit a branch
//! or a tag stood for.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::base::files::{TEMPORARY, write_atomic};
use crate::model::pretrained::{has_tokenizer, model_files};
use crate::model::sentences::Above;
use crate::model::sentences::modules::MODULES;

/// The part of the cache that belongs to one repository.
pub(super) struct Place {
    root: PathBuf,
    locks: PathBuf,
}

impl Place {
    pub(super) fn new(cache: &Path, repository: &str) -> Place {
        let name = format!("models--{}", repository.replace('/', "--"));
        Place { root: cache.join(&name), locks: cache.join(".locks").join(&name) }
    }

    /// Returns the folder of a revision whose model is here whole.
    pub(super) fn whole(&self, revision: &str) -> Option<PathBuf> {
        let commit = match fs::read_to_string(self.root.join("refs").join(revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        let folder = self.snapshot(Some(&commit).filter(|commit| is_safe(commit))?);
        let files = model_files(&folder).ok()?;
        let encoder = Above::read(&folder).ok()?.map_or(folder.clone(), |it| it.encoder(&folder));
        let whole = files.iter().all(|file| file.is_file()) && has_tokenizer(&encoder);
        whole.then_some(folder)
    }

    /// Says whether it is known if a commit has modules of sentence-transformers. Programs that did
    /// not ask for them leave a folder that looks like a plain encoder's.
    pub(super) fn knows_modules(&self, commit: &str) -> bool {
        self.snapshot(commit).join(MODULES).is_file() || self.missing(commit).is_file()
    }

    /// Notes, as `huggingface_hub` does, that a commit has no modules.
    pub(super) fn note_no_modules(&self, commit: &str) -> io::Result<()> {
        write_atomic(&self.missing(commit), b"")
    }

    fn missing(&self, commit: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit).join(MODULES)
    }

    /// Returns the folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Returns where the content with this etag lies.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Returns the lock of a blob, which other programs that use the cache take too.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Shows a blob under a file's name in a commit's folder: as a relative link, or as a copy
    /// where the file system has no links.
    pub(super) fn show(&self, commit: &str, name: &str, etag: &str) -> io::Result<()> {
        let (below, name) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = self.snapshot(commit).join(below);
        fs::create_dir_all(&folder)?;
        let up = if below.is_empty() { "../../blobs" } else { "../../../blobs" };
        let target = Path::new(up).join(etag);
        // Made aside and renamed: a link that another process made, or one whose blob is gone, may
        // be there.
        let mut aside = tempfile::Builder::new();
        aside.prefix(TEMPORARY);
        match aside.make_in(&folder, |path| symlink(&target, path)) {
            Ok(link) => link.persist(folder.join(name)).map(drop).map_err(|error| error.error),
            Err(_) => copy(&self.blob(etag), &folder, name),
        }
    }

    /// Writes down which commit a branch or a tag stands for.
    pub(super) fn refer(&self, revision: &str, commit: &str) -> io::Result<()> {
        if revision == commit {
            return Ok(());
        }
        write_atomic(&self.root.join("refs").join(revision), commit.as_bytes())
    }
}

/// Says whether a text is a commit's full name: 40 hexadecimal digits, or 64 where git hashes by
/// SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Says whether a text is a name of content as the hub gives them: git's digest of a small file, or
/// the SHA-256 of a large one.
pub(super) fn is_etag(text: &str) -> bool {
    is_commit(text)
}

/// Says whether a text can be no more than a name in a folder, whoever it comes from.
pub(super) fn is_safe(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 200
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(plain)
}

/// Copies a blob into a folder; the copy has its name once it is whole.
fn copy(blob: &Path, folder: &Path, name: &str) -> io::Result<()> {
    let aside = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    fs::copy(blob, aside.path())?;
    aside.persist(folder.join(name)).map(drop).map_err(|error| error.error)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    fs::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_servers_lead_nowhere_else() {
        for good in ["main", "abc123", "d41d8cd9-12", "model.safetensors"] {
            assert!(is_safe(good), "{good}");
        }
        let long = "a".repeat(201);
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "c:x", "a b", "ä", &long] {
            assert!(!is_safe(bad), "{bad}");
        }
        assert!(is_commit(&"0a".repeat(20)) && is_commit(&"0a".repeat(32)));
        assert!(is_etag(&"0a".repeat(20)) && is_etag(&"0a".repeat(32)));
        for bad in ["", "abc", "../x", "d41d8cd9-12", &"0a".repeat(33), &"/".repeat(40)] {
            assert!(!is_etag(bad), "{bad}");
        }
        assert!(!is_commit("main") && !is_commit(&"0g".repeat(20)) && !is_commit("abc123"));
    }

    #[test]
    fn a_blob_is_shown_by_a_link_or_by_a_copy() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let place = Place::new(root.path(), "org/name");
        let blob = place.blob("abc");
        write_atomic(&blob, b"content")?;
        // A link whose blob is gone gives way.
        place.show("c1", "file", "gone")?;
        place.show("c1", "file", "abc")?;
        let shown = root.path().join("models--org--name/snapshots/c1/file");
        assert_eq!(fs::read(&shown)?, b"content");
        #[cfg(unix)]
        assert_eq!(fs::read_link(&shown)?, Path::new("../../blobs/abc"));
        place.show("c1", "1_Pooling/config.json", "abc")?;
        assert_eq!(fs::read(shown.with_file_name("1_Pooling/config.json"))?, b"content");
        fs::remove_dir_all(shown.with_file_name("1_Pooling"))?;
        assert!(!place.knows_modules("c1"));
        place.note_no_modules("c1")?;
        assert!(place.knows_modules("c1") && !place.knows_modules("c2"));
        copy(&blob, &place.snapshot("c1"), "copied")?;
        assert_eq!(fs::read(place.snapshot("c1").join("copied"))?, b"content");
        assert_eq!(fs::read_dir(place.snapshot("c1"))?.count(), 2);
        Ok(())
    }
}
