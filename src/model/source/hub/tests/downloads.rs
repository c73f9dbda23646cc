//! What is fetched, how often, and what is kept of it.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;

use super::fixture::{
    COMMIT, DIGEST, Hub, SMALL, TOKEN, Told, assert_failed, files, names, storage, weights,
};
use super::server::{Reply, Request};
use crate::base::report::Silent;
use crate::model::error::ModelError;
use crate::model::source::hub::settings::{Patience, Settings};

const WEIGHTS: &str = "model.safetensors";
const OFFLINE: &str = "HF_HUB_OFFLINE";

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
    let small = &SMALL[..38];
    assert_eq!(hub.names("blobs").len(), 3);
    assert!(hub.names("blobs").contains(&DIGEST.to_owned()));
    assert!(hub.names("blobs").contains(&format!("{small}02")));
    assert_eq!(fs::read_to_string(hub.place().join("refs/main"))?, COMMIT);
    assert_eq!(hub.names("refs"), ["main"]);
    #[cfg(unix)]
    assert_eq!(fs::read_link(folder.join(WEIGHTS))?, Path::new("../../blobs").join(DIGEST));

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
    let offline = Settings { offline: Some(OFFLINE), ..hub.settings() };
    let told = Told::default();
    assert_eq!(offline.resolve("org/name", "main", &told)?, folder);
    assert!(told.lines()[0].contains(OFFLINE));
    assert_eq!(hub.hub.seen().len(), before);
    // Another name of the same commit costs the list of files, and no file.
    assert_eq!(hub.resolve("refs/pr/1")?, folder);
    assert_eq!(hub.hub.seen().len(), before + 1);
    assert_eq!(hub.hub.count("GET", "/revision/refs%2Fpr%2F1"), 1);
    assert_eq!(fs::read_to_string(hub.place().join("refs/refs/pr/1"))?, COMMIT);
    Ok(())
}

#[test]
fn a_renamed_model_is_found() -> Result<(), ModelError> {
    let hub = Hub::with(
        |request, _| {
            let renamed = request.path.replace("/org/old/", "/org/name/");
            (renamed != request.path).then(|| Reply::new(307, "").with("Location", renamed))
        },
        |_, _| None,
    )?;
    let folder = hub.settings().resolve("org/old", "main", &Silent)?;
    assert!(folder.ends_with(Path::new("models--org--old/snapshots").join(COMMIT)));
    assert_eq!(fs::read(folder.join("config.json"))?, b"{}");
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
            assert_eq!(fs::read(folder.join(WEIGHTS))?, weights());
        }
        Ok::<(), ModelError>(())
    })?;
    assert_eq!(hub.storage.seen().len(), 1);
    Ok(())
}

#[test]
fn a_cut_connection_costs_what_is_missing() -> Result<(), ModelError> {
    let hub = Hub::with(
        |_, _| None,
        |request, before| match before {
            0 => Some(storage(request, &weights()).cut(50_000)),
            1 => Some(storage(request, &weights()).cut(25_000).silent(Duration::from_secs(3))),
            _ => None,
        },
    )?;
    let told = Told::default();
    let patience = Patience { silence: Duration::from_secs(2), ..hub.settings().patience };
    let settings = Settings { patience, ..hub.settings() };
    let folder = settings.resolve("org/name", "main", &told)?;
    assert_eq!(fs::read(folder.join(WEIGHTS))?, weights());
    let from: Vec<usize> = hub.storage.seen().iter().map(Request::from).collect();
    assert_eq!(from, [0, 50_000, 75_000]);
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
        |request, before| (before < 6).then(|| storage(request, &weights()).cut(10_000)),
    )?;
    assert_failed(&hub.resolve("main"), "was cut, 6 times");
    let part = format!("{DIGEST}.incomplete");
    assert!(hub.names("blobs").contains(&part));
    assert!(!hub.place().join("snapshots").exists() && !hub.place().join("refs").exists());
    let folder = hub.resolve("main")?;
    assert_eq!(fs::read(folder.join(WEIGHTS))?, weights());
    assert_eq!(hub.storage.seen().last().map(Request::from), Some(60_000));
    assert!(!hub.names("blobs").contains(&part));
    Ok(())
}

#[test]
fn a_part_that_does_not_belong_is_fetched_anew() -> Result<(), ModelError> {
    let whole = weights().len();
    // Wrong bytes; more than there are; as many as there are; and a storage that knows no parts.
    for (length, parts, requests) in
        [(1000, true, 2), (whole + 1, true, 1), (whole, true, 1), (1000, false, 1)]
    {
        let hub = Hub::with(|_, _| None, move |_, _| (!parts).then(|| Reply::new(200, weights())))?;
        fs::create_dir_all(hub.place().join("blobs"))?;
        let part = hub.place().join("blobs").join(format!("{DIGEST}.incomplete"));
        fs::write(&part, vec![7; length])?;
        let folder = hub.resolve("main")?;
        assert_eq!(fs::read(folder.join(WEIGHTS))?, weights());
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
            matches!(&failed, Err(ModelError::HubContent { file, .. }) if file == WEIGHTS),
            "{failed:?}"
        );
        assert!(hub.names("blobs").iter().all(|name| !name.starts_with(DIGEST)));
        assert!(!hub.place().join("snapshots").exists());
        assert!(hub.settings().resolve("org/name", "main", &Silent).is_ok());
    }
    Ok(())
}

#[test]
fn a_whole_snapshot_is_used_offline() -> Result<(), ModelError> {
    let hub = Hub::start()?;
    let offline = Settings { offline: Some(OFFLINE), ..hub.settings() };
    let folder = hub.place().join("snapshots/abc123");
    fs::create_dir_all(hub.place().join("refs"))?;
    fs::create_dir_all(&folder)?;
    fs::write(hub.place().join("refs/main"), "abc123")?;
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let missing = offline.resolve("org/name", "main", &Silent);
        assert!(
            matches!(&missing, Err(ModelError::HubOffline { variable, .. }) if variable == OFFLINE),
            "{missing:?}"
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
