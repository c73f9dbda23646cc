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
use crate::model::pretrained::{CONFIG, ONLY_WITHOUT, TOKENIZER, is_model_file};
use crate::model::sentences::modules::MODULES;
use crate::model::weights::pickled::{self, is_pickled};
use crate::model::weights::{HEAD, WHOLE};

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
            // The commit of the cache, which a branch may have left behind by now.
            let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let knows_modules = place.knows_modules(&commit);
            let without = |why: &dyn std::fmt::Display| {
                report.warn(&format!(
                    "`{reference}` is taken without modules of sentence-transformers, because the \
                     cache does not tell whether it has any: {why}"
                ));
            };
            if let Some(variable) = self.offline {
                report.note(&format!(
                    "`{variable}` is set: the model `{reference}` is taken from the hub's cache"
                ));
                if !knows_modules {
                    without(&format!("`{variable}` forbids asking"));
                }
            } else if !knows_modules
                && let Err(error) = self.fetch(repository, &commit, &place, report)
            {
                without(&error);
            }
            return Ok(folder);
        }
        if let Some(variable) = self.offline {
            return Err(ModelError::HubOffline { reference, variable: variable.to_owned() });
        }
        self.fetch(repository, revision, &place, report)
    }

    /// Fetches what the cache lacks of a revision, and returns its folder.
    fn fetch(
        &self,
        repository: &str,
        revision: &str,
        place: &Place,
        report: &dyn Report,
    ) -> Result<PathBuf, ModelError> {
        let reference = reference(repository, revision);
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
            download.complete(place)?;
            fetched.push((name, announced.etag));
        }
        // A folder without config.json is no model, so that one file more or less is never taken
        // for the whole.
        fetched.sort_by_key(|(name, _)| (*name == MODULES, name.ends_with("config.json")));
        for (name, etag) in &fetched {
            place.show(commit, name, etag)?;
        }
        if !listing.names.iter().any(|name| name == MODULES) {
            place.note_no_modules(commit)?;
        }
        place.refer(revision, commit)?;
        Ok(folder)
    }
}

const INDEX: &str = "model.safetensors.index.json";

/// Returns the files of a repository that make up its model. Variants beside the whole weights,
/// such as `model.fp16.safetensors`, would only cost time.
fn needed(names: &[String]) -> Vec<&str> {
    let split = |name: &str| match name.rsplit_once('/') {
        Some((folder, file)) => (folder.to_owned(), file.to_owned()),
        None => (String::new(), name.to_owned()),
    };
    let has = |folder: &str, is: &dyn Fn(&str) -> bool| {
        names.iter().any(|name| {
            let (at, file) = split(name);
            at == folder && is(&file)
        })
    };
    let is_safe_form =
        |file: &str| file.ends_with(".safetensors") || file.ends_with(".safetensors.index.json");
    let is_needed = |name: &&str| {
        let (folder, file) = split(name);
        let has = |is: &dyn Fn(&str) -> bool| has(&folder, is);
        if is_pickled(&file) {
            let is_whole = |file: &str| file == pickled::WHOLE;
            let is_safe_model = |file: &str| file == WHOLE || file == INDEX;
            return !has(&is_safe_model) && (is_whole(&file) || !has(&is_whole));
        }
        let of_others = ONLY_WITHOUT.contains(&file.as_str()) && has(&|file| file == TOKENIZER);
        let is_own = [WHOLE, HEAD].contains(&file.as_str());
        let is_variant = is_safe_form(&file) && !is_own && has(&|file| file == WHOLE);
        !of_others && !is_variant
    };
    let mut needed: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| is_model_file(name) && name.split('/').all(is_safe))
        .filter(is_needed)
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
        let with_head = ["head.safetensors", "model.fp16.safetensors", "model.safetensors"];
        let with_head = with_head.map(str::to_owned);
        assert_eq!(needed(&with_head), ["head.safetensors", "model.safetensors"]);
        let both = ["model.safetensors", "pytorch_model.bin"].map(str::to_owned);
        assert_eq!(needed(&both), ["model.safetensors"]);
        let modules = [
            "modules.json",
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "0_Transformer/model.fp16.safetensors",
            "0_Transformer/tokenizer.json",
            "0_Transformer/../x.safetensors",
            "1_Pooling/config.json",
            "2_Dense/model.safetensors",
            "2_Dense/deep/config.json",
            "openvino/config.json",
        ];
        let modules = modules.map(str::to_owned);
        let expected = [
            "0_Transformer/config.json",
            "0_Transformer/model.safetensors",
            "0_Transformer/tokenizer.json",
            "1_Pooling/config.json",
            "2_Dense/model.safetensors",
            "modules.json",
        ];
        assert_eq!(needed(&modules), expected);
        let sharded = ["model-1.safetensors", "model.safetensors.index.json"].map(str::to_owned);
        assert_eq!(needed(&sharded).len(), 2);
    }
}
