//! Models of the Hugging Face hub, through the hub's ordinary cache.

use std::path::PathBuf;

use hf_hub::api::Progress as HubProgress;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::base::report::{Progress, Report};
use crate::model::error::ModelError;
use crate::model::pretrained::{is_model_file, model_files};

/// What the hub's variables say.
#[derive(Debug)]
struct Settings {
    cache: PathBuf,
    /// Where the hub is; `None` for its public address.
    endpoint: Option<String>,
    /// The variable that forbids the network, where one does.
    offline: Option<&'static str>,
}

/// Returns the folder of a hub model, from the cache where it is there whole, else from the hub.
pub fn resolve(
    repository: &str,
    revision: &str,
    report: &dyn Report,
) -> Result<PathBuf, ModelError> {
    Settings::from_environment().resolve(repository, revision, report)
}

/// Returns the folder of a hub model that is in the cache whole.
pub fn snapshot(repository: &str, revision: &str) -> Option<PathBuf> {
    Settings::from_environment().snapshot(repository, revision)
}

impl Settings {
    fn from_environment() -> Settings {
        Settings {
            cache: Cache::from_env().path().clone(),
            endpoint: std::env::var("HF_ENDPOINT").ok(),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .into_iter()
                .find(|name| is_set(name)),
        }
    }

    fn resolve(
        &self,
        repository: &str,
        revision: &str,
        report: &dyn Report,
    ) -> Result<PathBuf, ModelError> {
        if let Some(folder) = self.snapshot(repository, revision) {
            return Ok(folder);
        }
        let reference = format!("hf:{repository}@{revision}");
        if let Some(variable) = self.offline {
            return Err(ModelError::HubOffline { reference, variable: variable.to_owned() });
        }
        let failed = |error: &dyn std::fmt::Display| ModelError::Hub {
            reference: reference.clone(),
            detail: error.to_string(),
        };
        let mut builder = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_progress(false)
            .with_retries(2);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        if let Ok(token) = std::env::var("HF_TOKEN") {
            builder = builder.with_token(Some(token));
        }
        let api = builder.build().map_err(|error| failed(&error))?.repo(repo(repository, revision));
        let siblings = api.info().map_err(|error| failed(&error))?.siblings;
        let names: Vec<String> = siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        let mut folder = None;
        for name in needed(&names) {
            let progress =
                Download { report, activity: format!("downloading {name}"), total: 0, done: 0 };
            let path =
                api.download_with_progress(name, progress).map_err(|error| failed(&error))?;
            if name == "config.json" {
                folder = path.parent().map(PathBuf::from);
            }
        }
        folder.ok_or_else(|| failed(&"it has no config.json"))
    }

    fn snapshot(&self, repository: &str, revision: &str) -> Option<PathBuf> {
        let place = self.cache.join(repo(repository, revision).folder_name());
        let commit = fs_err::read_to_string(place.join("refs").join(revision))
            .map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
        let folder = place.join("snapshots").join(commit);
        let files = model_files(&folder).ok()?;
        let whole =
            files.iter().all(|file| file.is_file()) && folder.join("tokenizer.json").is_file();
        whole.then_some(folder)
    }
}

/// Returns the files of a repository that make up its model. Variants beside the whole weights,
/// such as `model.fp16.safetensors`, would only cost time.
fn needed(names: &[String]) -> Vec<&str> {
    let whole = names.iter().any(|name| name == "model.safetensors");
    let mut needed: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| is_model_file(name))
        .filter(|name| !whole || *name == "model.safetensors" || !name.contains(".safetensors"))
        .collect();
    needed.sort_unstable();
    needed
}

fn repo(repository: &str, revision: &str) -> Repo {
    Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned())
}

/// Says whether a variable is set to a yes, as the hub's own library reads it.
fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| {
        matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Silent;
    use fs_err as fs;

    fn settings(cache: &std::path::Path) -> Settings {
        Settings { cache: cache.to_owned(), endpoint: None, offline: Some("HF_HUB_OFFLINE") }
    }

    #[test]
    fn a_whole_snapshot_is_used_offline() -> Result<(), ModelError> {
        let root = tempfile::tempdir()?;
        let place = root.path().join("models--org--name");
        let folder = place.join("snapshots/abc123");
        fs::create_dir_all(place.join("refs"))?;
        fs::create_dir_all(&folder)?;
        fs::write(place.join("refs/main"), "abc123")?;
        let hub = settings(root.path());
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let missing = hub.resolve("org/name", "main", &Silent);
            assert!(matches!(
                missing,
                Err(ModelError::HubOffline { variable, .. }) if variable == "HF_HUB_OFFLINE"
            ));
            fs::write(folder.join(file), "x")?;
        }
        assert_eq!(hub.resolve("org/name", "main", &Silent)?, folder);
        assert_eq!(hub.resolve("org/name", "abc123", &Silent)?, folder);
        assert!(hub.resolve("org/name", "v2", &Silent).is_err());
        Ok(())
    }

    #[test]
    fn a_hub_that_does_not_answer_is_named() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        // The discard port, on which nothing listens.
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        let hub = Settings { endpoint, offline: None, ..settings(root.path()) };
        let result = hub.resolve("org/name", "main", &Silent);
        assert!(matches!(
            result,
            Err(ModelError::Hub { reference, .. }) if reference == "hf:org/name@main"
        ));
        Ok(())
    }

    #[test]
    fn only_what_makes_up_the_model_is_fetched() {
        let names = [
            "README.md",
            "tokenizer.json",
            "model.safetensors",
            "model.fp16.safetensors",
            "onnx/model.safetensors",
            "config.json",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(needed(&names), ["config.json", "model.safetensors", "tokenizer.json"]);
        let sharded = ["model-1.safetensors", "model.safetensors.index.json"].map(str::to_owned);
        assert_eq!(needed(&sharded).len(), 2);
    }
}
