//! Saving what stands over an encoder, so that sentence-transformers opens the folder.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Map, Value, json};

use super::embedder::{Embedder, Step};
use super::modules::{Above, MODULES, PROMPTS, SWITCHES, Sentences, TEXTS};
use crate::model::error::ModelError;
use crate::model::head::Pooling;

/// The name of a prompt that a training was given as a text.
const TRAINED: &str = "trained";

impl Sentences {
    /// Takes over the text that a training put before each text, as the folder's default prompt.
    pub fn set_prompt(&mut self, prompt: Option<&str>) {
        if let Some(above) = self.above.as_mut().filter(|_| prompt.is_some()) {
            // A prompt is part of all that was pooled.
            above.pools_prompt = true;
        }
        let prompts = self.prompts();
        let default = self.default_prompt().and_then(|name| prompts.get(name)).copied();
        if default == prompt {
            return;
        }
        let name = prompt.map(|prompt| {
            let known = prompts.iter().find(|(_, text)| **text == prompt);
            known.map_or(TRAINED, |(name, _)| name).to_owned()
        });
        if let (Some(name), Some(prompt)) = (&name, prompt) {
            let texts = self.raw_prompts.entry("prompts").or_insert_with(|| json!({}));
            match texts.as_object_mut() {
                Some(texts) => drop(texts.insert(name.clone(), prompt.into())),
                None => *texts = json!({ name.clone(): prompt }),
            }
        }
        self.raw_prompts.insert("default_prompt_name".to_owned(), name.into());
    }

    /// Lets a folder without modules have those of an embedder that is more than a pooling, for
    /// texts of so many tokens: config.json alone cannot say it.
    pub fn stand_over(&mut self, embedder: &Embedder, longest: usize) {
        if self.above.is_some() || embedder.head().is_some() {
            return;
        }
        self.raw_texts.insert("max_seq_length".to_owned(), longest.into());
        self.above = Some(Above {
            encoder: PathBuf::new(),
            embedder: Ok(embedder.clone()),
            pools_prompt: true,
            folders: Vec::new(),
        });
    }

    /// Writes the files into a folder whose encoder lies in the folder itself, except the weights
    /// of dense layers. `embedder` gives the vectors; `None` leaves those of the folder.
    pub fn write(
        &self,
        folder: &Path,
        embedder: Option<&Embedder>,
        hidden: usize,
    ) -> Result<(), ModelError> {
        for (name, raw) in [(PROMPTS, &self.raw_prompts), (TEXTS, &self.raw_texts)] {
            if !raw.is_empty() {
                write(&folder.join(name), &Value::Object(raw.clone()))?;
            }
        }
        let Some(above) = &self.above else { return Ok(()) };
        let Some(embedder) = embedder.or(above.embedder.as_ref().ok()) else { return Ok(()) };
        let mut modules = vec![("Transformer", String::new())];
        let pooling = "1_Pooling".to_owned();
        fs::create_dir_all(folder.join(&pooling))?;
        let settings = pooling_settings(&embedder.poolings, hidden, above.pools_prompt);
        write(&folder.join(&pooling).join("config.json"), &settings)?;
        modules.push(("Pooling", pooling));
        for (index, step) in embedder.steps.iter().enumerate() {
            modules.push(match step {
                Step::Normalize => ("Normalize", format!("{}_Normalize", index + 2)),
                Step::Dense(dense) => {
                    fs::create_dir_all(folder.join(&dense.module))?;
                    let path = folder.join(&dense.module).join("config.json");
                    write(&path, above.settings(&dense.module))?;
                    ("Dense", dense.module.clone())
                }
            });
        }
        let list = modules.into_iter().enumerate().map(|(index, (class, path))| {
            let class = format!("sentence_transformers.models.{class}");
            json!({ "idx": index, "name": index.to_string(), "path": path, "type": class })
        });
        write(&folder.join(MODULES), &list.collect())
    }
}

impl Above {
    /// Returns a module's config.json as it was read.
    fn settings(&self, module: &str) -> &Value {
        let found = self.folders.iter().find(|(name, _)| name == module);
        found.map_or(&Value::Null, |(_, settings)| settings)
    }
}

/// Returns the settings of a pooling as every version of sentence-transformers reads them, where
/// the order of its parts can be said so.
fn pooling_settings(poolings: &[Pooling], hidden: usize, pools_prompt: bool) -> Value {
    let mut settings = Map::new();
    let in_order = SWITCHES.iter().filter(|(_, _, pooling)| poolings.contains(pooling));
    if in_order.map(|(_, _, pooling)| *pooling).eq(poolings.iter().copied()) {
        settings.insert("word_embedding_dimension".to_owned(), hidden.into());
        for (switch, _, pooling) in SWITCHES {
            settings.insert(switch.to_owned(), poolings.contains(&pooling).into());
        }
    } else {
        let name = |pooling: &Pooling| {
            let found = SWITCHES.iter().find(|(_, _, known)| known == pooling);
            found.map_or("", |(_, name, _)| name)
        };
        settings.insert("embedding_dimension".to_owned(), hidden.into());
        settings.insert("pooling_mode".to_owned(), poolings.iter().map(name).collect());
    }
    settings.insert("include_prompt".to_owned(), pools_prompt.into());
    settings.into()
}

fn write(path: &Path, value: &Value) -> Result<(), ModelError> {
    Ok(fs::write(path, format!("{value:#}\n"))?)
}
