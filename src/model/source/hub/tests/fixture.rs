//! A hub of one model on loopback, for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use fs_err as fs;

use super::server::{Reply, Request, Server};
use crate::base::report::{Progress, Report, Silent};
use crate::model::error::ModelError;
use crate::model::source::hub::settings::{Patience, Settings};

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const TOKEN: &str = "hf_secret";
/// Git's digest of the small files; any 40 digits do.
pub(super) const SMALL: &str = "45a2321a7ecfdaaf60a6c1fd7f5463994cc8907d";

/// The SHA-256 of the weights, as Python's `hashlib` gives it.
pub(super) const DIGEST: &str = "e1172d4714f6b66241589b97dd018bd49a32cdab097ef2e30e3d2f522187ac88";

type Answer = dyn Fn(&Request, usize) -> Option<Reply> + Send + Sync;

/// A hub with one model, and the storage that it redirects large files to.
pub(super) struct Hub {
    pub(super) hub: Server,
    pub(super) storage: Server,
    pub(super) root: tempfile::TempDir,
}

/// The content of the large file, whose SHA-256 is `DIGEST`.
pub(super) fn weights() -> Vec<u8> {
    (0..30_000_u32).flat_map(|number| number.to_le_bytes()).collect()
}

pub(super) fn files() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("README.md", b"words".to_vec()),
        ("config.json", b"{}".to_vec()),
        ("model.safetensors", weights()),
        ("tokenizer.json", b"{\"version\": \"1.0\"}".to_vec()),
    ])
}

/// Answers as the hub does: small files by way of a redirect to its own cache, large ones by a
/// redirect to the storage that tells what the file is.
fn hub(request: &Request, storage: &str) -> Reply {
    let path = request.path.as_str();
    if path.starts_with("/api/models/org/name/revision/") {
        let names = files().into_keys().map(|name| format!("{{\"rfilename\": \"{name}\"}}"));
        let names = names.collect::<Vec<_>>().join(", ");
        return Reply::new(200, format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{names}]}}"));
    }
    let resolve = format!("/org/name/resolve/{COMMIT}/");
    let cached = "/api/resolve-cache/";
    let name = path.strip_prefix(&resolve).or_else(|| path.strip_prefix(cached));
    let Some((name, content)) = name.and_then(|name| files().remove_entry(name)) else {
        return Reply::new(404, "").with("X-Error-Code", "EntryNotFound");
    };
    if name == "model.safetensors" {
        return Reply::new(302, "a redirect's own body")
            .with("Location", format!("{storage}/{name}?signature=1"))
            .with("ETag", "\"of the redirect\"")
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-Size", content.len().to_string())
            .with("X-Linked-Etag", format!("\"{DIGEST}\""));
    }
    if path.starts_with(&resolve) {
        return Reply::new(307, "elsewhere").with("Location", format!("{cached}{name}"));
    }
    let etag = format!("W/\"{}{:02}\"", &SMALL[..38], content.len());
    Reply::new(200, content).with("ETag", etag).with("X-Repo-Commit", COMMIT)
}

/// Answers as the storage does: content, or a part of it.
pub(super) fn storage(request: &Request, content: &[u8]) -> Reply {
    let from = request.from();
    if from == 0 {
        return Reply::new(200, content);
    }
    let Some(rest) = content.get(from..) else { return Reply::new(416, "") };
    let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
    Reply::new(206, rest).with("Content-Range", range)
}

impl Hub {
    pub(super) fn start() -> std::io::Result<Hub> {
        Hub::with(|_, _| None, |_, _| None)
    }

    /// Starts a hub and its storage that answer otherwise where they are told to.
    pub(super) fn with(
        hub_says: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static,
        storage_says: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> std::io::Result<Hub> {
        let storage_says: Box<Answer> = Box::new(storage_says);
        let behind = Server::start(move |request, before| {
            storage_says(request, before).unwrap_or_else(|| storage(request, &weights()))
        })?;
        let address = behind.address.clone();
        let front = Server::start(move |request, before| {
            hub_says(request, before).unwrap_or_else(|| hub(request, &address))
        })?;
        Ok(Hub { hub: front, storage: behind, root: tempfile::tempdir()? })
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            cache: Some(self.root.path().join("hub")),
            endpoint: self.hub.address.clone(),
            token: Some(TOKEN.to_owned()),
            offline: None,
            certificates: None,
            proxy: None,
            patience: Patience {
                connect: Duration::from_secs(5),
                silence: Duration::from_secs(30),
                pause: Duration::from_millis(1),
            },
        }
    }

    pub(super) fn resolve(&self, revision: &str) -> Result<PathBuf, ModelError> {
        self.settings().resolve("org/name", revision, &Silent)
    }

    pub(super) fn place(&self) -> PathBuf {
        self.root.path().join("hub/models--org--name")
    }

    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        names(&self.place().join(folder))
    }
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Keeps what it is told.
#[derive(Default)]
pub(super) struct Told {
    lines: Mutex<Vec<String>>,
    pub(super) progress: Mutex<Vec<(String, u64, Option<u64>)>>,
}

impl Report for Told {
    fn progress(&self, now: &Progress<'_>) {
        if let Ok(mut progress) = self.progress.lock() {
            progress.push((now.activity.to_owned(), now.done, now.total));
        }
    }

    fn note(&self, line: &str) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.push(line.to_owned());
        }
    }

    fn warn(&self, line: &str) {
        self.note(line);
    }
}

impl Told {
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

/// Asserts that the hub failed for a reason whose text has these words.
pub(super) fn assert_failed(result: &Result<PathBuf, ModelError>, words: &str) {
    assert!(
        matches!(result, Err(ModelError::Hub { detail, .. }) if detail.contains(words)),
        "{words}: {result:?}"
    );
}
