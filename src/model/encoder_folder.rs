//! Writing an encoder without a classification head, as a folder that others open.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use super::error::ModelError;
use super::masked::MaskedHead;
use super::network::headless;
use super::pretrained::{CONFIG, Pretrained};
use super::pretrained_head::{FORM, NEAREST, POOLING};
use super::sentences::Embedder;
use super::weights;

/// Fields of config.json that say something of a classification head, or of the file that was read.
const STALE: [&str; 10] = [
    "torch_dtype",
    "dtype",
    "_name_or_path",
    "num_labels",
    "_num_labels",
    "id2label",
    "label2id",
    "problem_type",
    FORM,
    NEAREST,
];

impl Pretrained {
    /// Writes a folder that `transformers` opens as an encoder (`AutoModel`), or with a
    /// masked-language-model head as such a model too (`AutoModelForMaskedLM`). Of a folder of
    /// sentence-transformers it is one again, with the modules of `embedder`, or else the same. A
    /// classification head is left out; a pooler stays.
    pub fn write_encoder(
        &self,
        folder: &Path,
        masked: Option<&MaskedHead>,
        embedder: Option<&Embedder>,
    ) -> Result<(), ModelError> {
        fs::create_dir_all(folder)?;
        let (config, encoder) = (&self.config, self.config.encoder);
        let mut raw = self.raw_config.as_object().cloned().unwrap_or_default();
        let pooling = (!encoder.sets_pooling).then_some(POOLING);
        for name in STALE.into_iter().chain(pooling) {
            raw.shift_remove(name);
        }
        let model_type = raw.get("model_type").and_then(Value::as_str);
        let family = encoder.family(model_type.unwrap_or_default());
        let class = if masked.is_some() { "ForMaskedLM" } else { "Model" };
        raw.insert("architectures".to_owned(), vec![format!("{family}{class}")].into());
        (encoder.modernise)(config, &mut raw);
        fs::write(folder.join(CONFIG), format!("{:#}\n", Value::Object(raw)))?;
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes)?;
        }
        self.sentences.write(folder, embedder, config.hidden)?;
        let mut kept = self.weights.clone();
        self.write_dense(folder, &mut kept)?;
        let graph = headless(config)?;
        let own: BTreeSet<&str> = graph.parameters().map(|(name, _)| name).collect();
        let head: BTreeSet<String> =
            masked.map_or(Ok(Vec::new()), |masked| masked.names(config))?.into_iter().collect();
        let is_below = |name: &str| own.contains(name) || encoder.is_pooler(name);
        let kept = kept.some(|name| {
            is_below(name) || head.contains(name) || encoder.is_pretrained_head(name)
        })?;
        // Files of a whole model have the encoder's names below its prefix.
        let prefix = if masked.is_some() { encoder.prefix } else { "" };
        weights::write(folder, &kept, |name| match is_below(name) {
            true => format!("{prefix}{name}"),
            false => name.to_owned(),
        })
    }
}
