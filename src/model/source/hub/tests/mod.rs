//! The hub's client and cache against servers on loopback.

mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::settings::{Patience, Settings};
use crate::base::report::{Progress, Report, Silent};
use crate::model::error::ModelError;
use server::{Reply, Request, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret";
/// Git's digest of the small files; any 40 digits do.
const SMALL: &str = "45a2321a7ecfdaaf60a6c1fd7f5463994cc8907d";

type Answer = dyn Fn(&Request, usize) -> Option<Reply> + Send + Sync;

/// A hub with one model, and the storage that it redirects large files to.
struct Hub {
    hub: Server,
    storage: Server,
    root: tempfile::TempDir,
}

fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| number.to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files() -> BTreeMap<&'static str, Vec<u8>> {
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
            .with("X-Linked-Etag", format!("\"{}\"", sha256(&content)));
    }
    if path.starts_with(&resolve) {
        return Reply::new(307, "elsewhere").with("Location", format!("{cached}{name}"));
    }
    let etag = format!("W/\"{}{}\"", &SMALL[..38], content.len());
    Reply::new(200, content).with("ETag", etag).with("X-Repo-Commit", COMMIT)
}

/// Answers as the storage does: content, or a part of it.
fn storage(request: &Request, content: &[u8]) -> Reply {
    let from = request.from();
    if from == 0 {
        return Reply::new(200, content);
    }
    let Some(rest) = content.get(from..) else { return Reply::new(416, "") };
    let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
    Reply::new(206, rest).with("Content-Range", range)
}

impl Hub {
    fn start() -> std::io::Result<Hub> {
        Hub::with(|_, _| None, |_, _| None)
    }

    /// Starts a hub and its storage that answer otherwise where they are told to.
    fn with(
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

    fn settings(&self) -> Settings {
        Settings {
            cache: self.root.path().join("hub"),
            endpoint: self.hub.address.clone(),
            token: Some(TOKEN.to_owned()),
            offline: None,
            certificates: None,
            proxy: None,
            patience: Patience {
                connect: Duration::from_secs(5),
                silence: Duration::from_millis(500),
                pause: Duration::from_millis(1),
            },
        }
    }

    fn resolve(&self, revision: &str) -> Result<PathBuf, ModelError> {
        self.settings().resolve("org/name", revision, &Silent)
    }

    fn place(&self) -> PathBuf {
        self.root.path().join("hub/models--org--name")
    }

    fn names(&self, folder: &str) -> Vec<String> {
        names(&self.place().join(folder))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Keeps what it is told.
#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    progress: Mutex<Vec<(String, u64, Option<u64>)>>,
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
    fn lines(&self) -> Vec<String> {
        self.lines.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

#[test]
fn a_model_is_fetched_once_into_the_layout_of_the_hub() -> Result<(), ModelError> {
    let hub = Hub::start()?;
    let told = Told::default();
    let folder = hub.settings().resolve("org/name", "main", &told)?;
    assert_eq!(folder, hub.place().join("snapshots").join(COMMIT));
    assert_eq!(names(&folder), ["config.json", "model.safetensors", "tokenizer.json"]);
    for (name, content) in files().into_iter().skip(1) {
        assert_eq!(fs::read(folder.join(name))?, content, "{name}");
    }
    let digest = sha256(&weights());
    let small = &SMALL[..38];
    assert_eq!(hub.names("blobs").len(), 3);
    assert!(hub.names("blobs").contains(&digest));
    assert!(hub.names("blobs").contains(&format!("{small}2")));
    assert_eq!(fs::read_to_string(hub.place().join("refs/main"))?, COMMIT);
    assert_eq!(hub.names("refs"), ["main"]);
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(folder.join("model.safetensors"))?,
        Path::new("../../blobs").join(&digest)
    );

    // The token is for the hub alone, and every request of it has the token.
    assert!(hub.hub.seen().iter().all(|seen| {
        seen.header("authorization") == Some(&format!("Bearer {TOKEN}"))
            && seen.header("accept-encoding") == Some("identity")
    }));
    assert_eq!(hub.storage.seen().len(), 1);
    assert!(hub.storage.seen().iter().all(|seen| seen.header("authorization").is_none()));

    let size = weights().len() as u64;
    let last = told.progress.lock().map(|progress| {
        progress.iter().rfind(|(name, ..)| name == "downloading model.safetensors").cloned()
    });
    assert_eq!(
        last.unwrap_or_default(),
        Some(("downloading model.safetensors".to_owned(), size, Some(size)))
    );

    // From here on the cache is asked, and nothing else.
    let before = hub.hub.seen().len();
    assert_eq!(hub.resolve("main")?, folder);
    assert_eq!(hub.resolve(COMMIT)?, folder);
    let offline = Settings { offline: Some("HF_HUB_OFFLINE"), ..hub.settings() };
    let told = Told::default();
    assert_eq!(offline.resolve("org/name", "main", &told)?, folder);
    assert!(
        told.lines().iter().any(|line| line.contains("HF_HUB_OFFLINE")),
        "{told:?}",
        told = told.lines()
    );
    assert_eq!(hub.hub.seen().len(), before);
    // Another name of the same commit costs the list of files, and no file.
    assert_eq!(hub.resolve("refs/pr/1")?, folder);
    assert_eq!(hub.hub.seen().len(), before + 1);
    assert_eq!(hub.hub.count("GET", "/revision/refs%2Fpr%2F1"), 1);
    assert_eq!(fs::read_to_string(hub.place().join("refs/refs/pr/1"))?, COMMIT);
    Ok(())
}

#[test]
fn a_cut_connection_costs_what_is_missing() -> Result<(), ModelError> {
    let hub = Hub::with(
        |_, _| None,
        |request, before| match before {
            0 => Some(storage(request, &weights()).cut(500_000)),
            1 => Some(storage(request, &weights()).cut(250_000).silent(Duration::from_secs(1))),
            _ => None,
        },
    )?;
    let told = Told::default();
    let folder = hub.settings().resolve("org/name", "main", &told)?;
    assert_eq!(fs::read(folder.join("model.safetensors"))?, weights());
    let from: Vec<usize> = hub.storage.seen().iter().map(Request::from).collect();
    assert_eq!(from, [0, 500_000, 750_000]);
    let lines = told.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("was cut; trying again in 1 s"), "{lines:?}");
    assert!(lines[1].contains("fell silent"), "{lines:?}");
    Ok(())
}

#[test]
fn an_interrupted_download_goes_on_with_the_next_run() -> Result<(), ModelError> {
    let hub = Hub::with(
        |_, _| None,
        |request, before| (before < 6).then(|| storage(request, &weights()).cut(100_000)),
    )?;
    let failed = hub.resolve("main");
    assert!(matches!(&failed, Err(ModelError::Hub { detail, .. }) if detail.contains("6 times")));
    let part = format!("{}.incomplete", sha256(&weights()));
    assert!(hub.names("blobs").contains(&part));
    assert!(!hub.place().join("snapshots").exists() && !hub.place().join("refs").exists());
    let folder = hub.resolve("main")?;
    assert_eq!(fs::read(folder.join("model.safetensors"))?, weights());
    assert_eq!(hub.storage.seen().last().map(Request::from), Some(600_000));
    assert!(!hub.names("blobs").contains(&part));
    Ok(())
}

#[test]
fn a_part_that_does_not_belong_is_fetched_anew() -> Result<(), ModelError> {
    let digest = sha256(&weights());
    let whole = weights().len();
    // Wrong bytes; more than there are; as many as there are; and a storage that knows no parts.
    for (length, parts, requests) in
        [(1000, true, 2), (whole + 1, true, 1), (whole, true, 1), (1000, false, 1)]
    {
        let hub = Hub::with(|_, _| None, move |_, _| (!parts).then(|| Reply::new(200, weights())))?;
        fs::create_dir_all(hub.place().join("blobs"))?;
        let part = hub.place().join("blobs").join(format!("{digest}.incomplete"));
        fs::write(&part, vec![7; length])?;
        let folder = hub.resolve("main")?;
        assert_eq!(fs::read(folder.join("model.safetensors"))?, weights());
        assert_eq!(hub.storage.seen().len(), requests, "{length} {parts}");
        assert!(!part.exists());
    }
    Ok(())
}

#[test]
fn wrong_content_is_refused_and_not_kept() -> Result<(), ModelError> {
    let mut flipped = weights();
    flipped[1000] ^= 1;
    let mut longer = weights();
    longer.push(0);
    for wrong in [flipped, longer] {
        let hub = Hub::with(
            |_, _| None,
            move |request, before| (before == 0).then(|| storage(request, &wrong)),
        )?;
        let failed = hub.resolve("main");
        assert!(
            matches!(&failed, Err(ModelError::HubContent { file, .. }) if file == "model.safetensors"),
            "{failed:?}"
        );
        let digest = sha256(&weights());
        assert!(hub.names("blobs").iter().all(|name| !name.starts_with(&digest)));
        assert!(!hub.place().join("snapshots").exists());
        assert!(hub.settings().resolve("org/name", "main", &Silent).is_ok());
    }
    Ok(())
}

#[test]
fn each_refusal_is_told_apart() -> Result<(), ModelError> {
    let refused = |status: u16, code: &'static str, path: &'static str, token: bool| {
        let hub = Hub::with(
            move |request, _| {
                request.path.contains(path).then(|| {
                    let reply = Reply::new(status, "").with("X-Error-Message", "No, sorry.");
                    if code.is_empty() { reply } else { reply.with("X-Error-Code", code) }
                })
            },
            |_, _| None,
        )?;
        let token = token.then(|| TOKEN.to_owned());
        let settings = Settings { token, ..hub.settings() };
        match settings.resolve("org/name", "v2", &Silent) {
            Ok(_) => Ok("fetched".to_owned()),
            Err(ModelError::Io(error)) => Err(ModelError::Io(error)),
            Err(error) => {
                let name = format!("{error:?}");
                Ok(name.split([' ', '{']).next().unwrap_or_default().to_owned())
            }
        }
    };
    let list = "/api/models/";
    let file = "/resolve/";
    for (status, code, path, token, expected) in [
        (401, "", list, false, "HubNoRepository"),
        (401, "", list, true, "HubRefused"),
        (403, "", list, true, "HubRefused"),
        (404, "", list, true, "HubNoRepository"),
        (404, "RepoNotFound", list, true, "HubNoRepository"),
        (401, "RepoNotFound", file, false, "HubNoRepository"),
        (404, "RevisionNotFound", list, true, "HubNoRevision"),
        (401, "GatedRepo", file, false, "HubGated"),
        (403, "GatedRepo", file, true, "HubGated"),
        (404, "EntryNotFound", file, true, "HubNoFile"),
        (404, "", file, true, "HubNoFile"),
        (400, "", file, true, "Hub"),
        (500, "", list, true, "Hub"),
        (429, "", file, true, "Hub"),
    ] {
        let found = refused(status, code, path, token)?;
        assert_eq!(found, expected, "{status} {code} {path} {token}");
    }
    Ok(())
}

#[test]
fn a_busy_hub_is_asked_again_for_a_while() -> Result<(), ModelError> {
    // Twice busy, then well; the seconds that it names are kept to.
    let hub = Hub::with(
        |request, before| match (request.method.as_str(), before) {
            ("GET", 0) => Some(Reply::new(503, "")),
            ("GET", 1) => Some(Reply::new(429, "").with("RateLimit", "\"api\";r=0;t=0")),
            ("HEAD", 0) => Some(Reply::new(429, "").with("Retry-After", "1")),
            _ => None,
        },
        |_, before| (before == 0).then(|| Reply::new(500, "")),
    )?;
    let told = Told::default();
    hub.settings().resolve("org/name", "main", &told)?;
    let lines = told.lines();
    assert!(
        lines.iter().any(|line| line.contains("answered 429; trying again in 0 s")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("answered 429; trying again in 1 s")),
        "{lines:?}"
    );

    // Never well: the tries are counted.
    let hub = Hub::with(|_, _| Some(Reply::new(500, "")), |_, _| None)?;
    let failed = hub.resolve("main");
    assert!(
        matches!(&failed, Err(ModelError::Hub { detail, .. }) if detail.contains("answered 500, 6 times")),
        "{failed:?}"
    );
    assert_eq!(hub.hub.seen().len(), 6);

    // Not for an hour.
    let hub = Hub::with(|_, _| Some(Reply::new(429, "").with("Retry-After", "3600")), |_, _| None)?;
    let failed = hub.resolve("main");
    assert!(
        matches!(&failed, Err(ModelError::Hub { detail, .. }) if detail.contains("asks to wait 3600 s")),
        "{failed:?}"
    );
    assert_eq!(hub.hub.seen().len(), 1);
    Ok(())
}

#[test]
fn what_a_server_says_is_no_path() -> Result<(), ModelError> {
    let list = |sha: &str, names: &str| {
        Reply::new(200, format!("{{\"sha\": \"{sha}\", \"siblings\": [{names}]}}"))
    };
    let plain = "{\"rfilename\": \"config.json\"}, {\"rfilename\": \"model.safetensors\"}";
    let announced = |commit: &str, etag: &str| {
        Reply::new(200, "{}").with("X-Repo-Commit", commit).with("ETag", etag)
    };
    let ways: Vec<(&str, &str, Reply)> = vec![
        ("GET", "/api/", list("../../../../evil", plain)),
        ("GET", "/api/", list("main", plain)),
        ("GET", "/api/", Reply::new(200, "<html>")),
        ("GET", "/api/", list(COMMIT, "{\"rfilename\": \"../evil.safetensors\"}")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"../../../evil\"")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"abc.incomplete\"")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"\"")),
        ("HEAD", "/resolve/", announced("../evil", "\"abc\"")),
        ("HEAD", "/resolve/", announced(&"f".repeat(40), "\"abc\"")),
        ("HEAD", "/resolve/", Reply::new(200, "{}")),
        ("HEAD", "/resolve/", Reply::new(302, "").with("Location", "https://storage/evil")),
        ("HEAD", "/resolve/", Reply::new(302, "").with("Location", "file:///etc/passwd")),
        ("HEAD", "/resolve/", Reply::new(302, "")),
    ];
    for (method, path, reply) in ways {
        let said = reply.clone();
        let hub = Hub::with(
            move |request, _| {
                (request.method == method && request.path.contains(path)).then(|| reply.clone())
            },
            |_, _| None,
        )?;
        let failed = hub.resolve("main");
        assert!(
            matches!(failed, Err(ModelError::Hub { .. } | ModelError::HubNoFile { .. })),
            "{said:?}: {failed:?}"
        );
        assert!(names(hub.root.path()).is_empty(), "{said:?}");
    }
    // Names that are no plain names are left alone, whatever else the list has.
    let names = format!("{plain}, {{\"rfilename\": \"..\\\\evil.safetensors\"}}");
    let names = format!("{names}, {{\"rfilename\": \".evil.safetensors\"}}");
    let reply = list(COMMIT, &names);
    let hub = Hub::with(
        move |request, _| request.path.starts_with("/api/models").then(|| reply.clone()),
        |_, _| None,
    )?;
    let folder = hub.resolve("main")?;
    assert_eq!(super::tests::names(&folder), ["config.json", "model.safetensors"]);
    Ok(())
}

#[test]
fn redirects_end() -> Result<(), ModelError> {
    let hub = Hub::with(
        |request, _| Some(Reply::new(307, "").with("Location", request.path.clone())),
        |_, _| None,
    )?;
    let failed = hub.resolve("main");
    assert!(
        matches!(&failed, Err(ModelError::Hub { detail, .. }) if detail.contains("more than 10")),
        "{failed:?}"
    );
    assert_eq!(hub.hub.seen().len(), 11);
    Ok(())
}

#[test]
fn two_at_once_fetch_a_file_once() -> Result<(), ModelError> {
    let hub = Hub::with(
        |_, _| None,
        |request, _| {
            std::thread::sleep(Duration::from_millis(200));
            Some(storage(request, &weights()))
        },
    )?;
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| hub.resolve("main")));
        for one in both {
            let folder = one.join().map_err(|_| std::io::Error::other("panicked"))??;
            assert_eq!(fs::read(folder.join("model.safetensors"))?, weights());
        }
        Ok::<(), ModelError>(())
    })?;
    assert_eq!(hub.storage.seen().len(), 1);
    Ok(())
}

#[test]
fn a_whole_snapshot_is_used_offline() -> Result<(), ModelError> {
    let hub = Hub::start()?;
    let offline = Settings { offline: Some("HF_HUB_OFFLINE"), ..hub.settings() };
    let folder = hub.place().join("snapshots/abc123");
    fs::create_dir_all(hub.place().join("refs"))?;
    fs::create_dir_all(&folder)?;
    fs::write(hub.place().join("refs/main"), "abc123")?;
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let missing = offline.resolve("org/name", "main", &Silent);
        assert!(
            matches!(missing, Err(ModelError::HubOffline { variable, .. }) if variable == "HF_HUB_OFFLINE")
        );
        fs::write(folder.join(file), "x")?;
    }
    assert_eq!(offline.resolve("org/name", "main", &Silent)?, folder);
    assert_eq!(offline.resolve("org/name", "abc123", &Silent)?, folder);
    assert!(offline.resolve("org/name", "v2", &Silent).is_err());
    // A ref that leads out of the cache is none.
    fs::write(hub.place().join("refs/main"), "../snapshots/abc123")?;
    assert!(offline.resolve("org/name", "main", &Silent).is_err());
    assert!(hub.hub.seen().is_empty());
    Ok(())
}

#[test]
fn a_hub_that_does_not_answer_is_named() -> std::io::Result<()> {
    let hub = Hub::start()?;
    // The discard port, on which nothing listens.
    for (endpoint, says) in [
        ("http://127.0.0.1:9", "127.0.0.1"),
        ("huggingface.co", "`HF_ENDPOINT` is `huggingface.co`"),
        ("ftp://huggingface.co", "`HF_ENDPOINT`"),
    ] {
        let settings = Settings { endpoint: endpoint.to_owned(), ..hub.settings() };
        let failed = settings.resolve("org/name", "main", &Silent);
        assert!(
            matches!(&failed, Err(ModelError::Hub { reference, detail })
                if reference == "hf:org/name@main" && detail.contains(says)),
            "{failed:?}"
        );
    }
    let bundle = hub.root.path().join("empty.pem");
    fs::write(&bundle, "no certificate")?;
    for path in [bundle, hub.root.path().join("missing.pem")] {
        let certificates = Some(("SSL_CERT_FILE", path));
        let settings = Settings { certificates, ..hub.settings() };
        let failed = settings.resolve("org/name", "main", &Silent);
        assert!(
            matches!(&failed, Err(ModelError::Hub { detail, .. }) if detail.contains("SSL_CERT_FILE")),
            "{failed:?}"
        );
    }
    Ok(())
}
