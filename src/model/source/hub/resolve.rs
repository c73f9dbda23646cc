//! From a model of the hub to a folder on this machine.

use std::path::{Path, PathBuf};

use super::cache::{Place, is_safe};
use super::client::{Client, reference};
use super::download::Download;
use super::settings::Settings;
use crate::base::limit;
use crate::base::report::Report;
use crate::model::beside::ADAPTER;
use crate::model::error::ModelError;
use crate::model::pickled::{WHOLE, is_pickled};
use crate::model::pretrained::{CONFIG, ONLY_WITHOUT, TOKENIZER, is_model_file};

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
    Place::new(&Settings::from_environment().cache?, repository).whole(revision)
}

impl Settings {
    pub(super) fn resolve(
        &self,
        repository: &str,
        revision: &str,
        report: &dyn Report,
    ) -> Result<PathBuf, ModelError> {
        let reference = reference(repository, revision);
        let Some(cache) = &self.cache else { return Err(ModelError::HubNoHome { reference }) };
        let place = Place::new(cache, repository);
        if let Some(folder) = place.whole(revision) {
            if let Some(variable) = self.offline {
                report.note(&format!(
                    "`{variable}` is set: the model `{reference}` is taken from the hub's cache"
                ));
            }
            return Ok(folder);
        }
        if let Some(variable) = self.offline {
            return Err(ModelError::HubOffline { reference, variable: variable.to_owned() });
        }
        let client = Client::new(self, repository, revision, report)?;
        let listing = client.listing()?;
        let names = needed(&listing.names);
        let is_adapter = names.contains(&ADAPTER) && !names.contains(&CONFIG);
        if is_adapter {
            return Err(ModelError::Adapter { folder: reference.into() });
        }
        let has = |end: &str| names.iter().any(|name| name.ends_with(end));
        let has_weights = has(".safetensors") || has(".bin");
        for (has, file) in [(has(CONFIG), CONFIG), (has_weights, "model.safetensors")] {
            if !has {
                return Err(ModelError::HubNoFile { reference, file: file.to_owned() });
            }
        }
        let commit = listing.commit.as_str();
        let folder = place.snapshot(commit);
        let mut fetched = Vec::new();
        for name in names.into_iter().filter(|name| !folder.join(name).is_file()) {
            let announced = client.announced(commit, name)?;
            if !name.ends_with(".safetensors") && !name.ends_with(".bin") {
                limit::check_json_size(Path::new(name), announced.size)?;
            }
            let download =
                Download { client: &client, commit, name, announced: &announced, report };
            download.complete(&place)?;
            fetched.push((name, announced.etag));
        }
        // A folder without config.json is no model, so that one file more or less is never taken
        // for the whole.
        fetched.sort_by_key(|(name, _)| *name == "config.json");
        for (name, etag) in &fetched {
            place.show(commit, name, etag)?;
        }
        place.refer(revision, commit)?;
        Ok(folder)
    }
}

/// Returns the files of a repository that make up its model. Variants beside the whole weights,
/// such as `model.fp16.safetensors`, would only cost time.
fn needed(names: &[String]) -> Vec<&str> {
    let whole = names.iter().any(|name| name == "model.safetensors");
    let safe = names.iter().any(|name| {
        is_model_file(name)
            && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
    });
    let pickled = names.iter().any(|name| name == WHOLE);
    let has_tokenizer = names.iter().any(|name| name == TOKENIZER);
    let mut needed: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| is_model_file(name) && is_safe(name))
        .filter(|name| !has_tokenizer || !ONLY_WITHOUT.contains(name))
        .filter(|name| !is_pickled(name) || !(safe || pickled && *name != WHOLE))
        .filter(|name| !whole || *name == "model.safetensors" || !name.contains(".safetensors"))
        .collect();
    needed.sort_unstable();
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_up_the_model_is_fetched() {
        let names = [
            "README.md",
            "tokenizer.json",
            "model.safetensors",
            "model.fp16.safetensors",
            "spm.model",
            "onnx/model.safetensors",
            "config.json",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(needed(&names), ["config.json", "model.safetensors", "tokenizer.json"]);
        let older = ["config.json", "model.safetensors", "spm.model", "other.model"];
        let older = older.map(str::to_owned);
        assert_eq!(needed(&older), ["config.json", "model.safetensors", "spm.model"]);
        let pickled = ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "x/training.bin"];
        let pickled = pickled.map(str::to_owned);
        assert_eq!(needed(&pickled), ["pytorch_model.bin"]);
        assert_eq!(needed(&pickled[1..]), ["pytorch_model-00001-of-00002.bin"]);
        let both = ["model.safetensors", "pytorch_model.bin"].map(str::to_owned);
        assert_eq!(needed(&both), ["model.safetensors"]);
        let sharded = ["model-1.safetensors", "model.safetensors.index.json"].map(str::to_owned);
        assert_eq!(needed(&sharded).len(), 2);
    }
}
