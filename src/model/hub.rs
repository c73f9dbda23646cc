//! Models of the Hugging Face hub, through the hub's ordinary cache.

use std::path::PathBuf;

use hf_hub::api::Progress as HubProgress;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use super::error::ModelError;
use super::pretrained::{is_model_file, model_files};
use crate::base::report::{Progress, Report};

/// Returns the folder of a hub model, from the cache where it is there whole, else from the hub.
pub fn resolve(repository: &str, revision: &str, report: &dyn Report) -> Result<PathBuf, ModelError> {
    if let Some(folder) = snapshot(repository, revision) {
        return Ok(folder);
    }
    let reference = format!("hf:{repository}@{revision}");
    if let Some(variable) = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| is_set(name)) {
        return Err(ModelError::HubOffline { reference, variable: variable.to_owned() });
    }
    let failed = |error: &dyn std::fmt::Display| ModelError::Hub {
        reference: reference.clone(),
        detail: error.to_string(),
    };
    let mut builder = ApiBuilder::from_env().with_progress(false).with_retries(2);
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let api = builder.build().map_err(|error| failed(&error))?.repo(repo(repository, revision));
    let mut names: Vec<String> = api
        .info()
        .map_err(|error| failed(&error))?
        .siblings
        .into_iter()
        .map(|sibling| sibling.rfilename)
        .filter(|name| is_model_file(name))
        .collect();
    names.sort();
    let mut folder = None;
    for name in &names {
        // Variants such as `model.fp16.safetensors` beside the whole one would only cost time.
        let needless = name.ends_with(".safetensors")
            && name != "model.safetensors"
            && names.iter().any(|other| other == "model.safetensors");
        if needless {
            continue;
        }
        let progress = Download { report, activity: format!("downloading {name}"), total: 0, done: 0 };
        let path = api.download_with_progress(name, progress).map_err(|error| failed(&error))?;
        if name == "config.json" {
            folder = path.parent().map(PathBuf::from);
        }
    }
    folder.ok_or_else(|| failed(&"it has no config.json"))
}

/// Returns the folder of a hub model that is in the cache whole.
pub fn snapshot(repository: &str, revision: &str) -> Option<PathBuf> {
    let place = Cache::from_env().path().join(repo(repository, revision).folder_name());
    let commit = fs_err::read_to_string(place.join("refs").join(revision))
        .map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
    let folder = place.join("snapshots").join(commit);
    let files = model_files(&folder).ok()?;
    let whole = files.iter().all(|file| file.is_file()) && folder.join("tokenizer.json").is_file();
    whole.then_some(folder)
}

fn repo(repository: &str, revision: &str) -> Repo {
    Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned())
}

/// Says whether a variable is set to a yes, as the hub's own library reads it.
fn is_set(name: &str) -> bool {
    std::env::var(name)
        .is_ok_and(|value| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

struct Download<'a> {
    report: &'a dyn Report,
    activity: String,
    total: u64,
    done: u64,
}

impl HubProgress for Download<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.total = size as u64;
        self.update(0);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        let progress = Progress {
            activity: &self.activity,
            done: self.done,
            total: Some(self.total),
            unit: "bytes",
            detail: "",
        };
        self.report.progress(&progress);
    }

    fn finish(&mut self) {}
}
