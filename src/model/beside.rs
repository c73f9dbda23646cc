//! Files in a model folder that other programs follow and `pipe` does not: where they contradict
//! what is used, a line says so.

use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use super::error::ModelError;
use crate::base::limit;

/// What a folder of an adapter (PEFT) has in place of the model, or beside it.
pub(super) const ADAPTER: &str = "adapter_config.json";
pub(super) const SENTENCES: &str = "sentence_bert_config.json";

/// The settings of other programs in a model folder.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    has_adapter: bool,
    /// What sentence-transformers does to texts.
    sentences: Value,
}

impl Beside {
    /// Reads what lies in a folder.
    pub fn read(folder: &Path) -> Result<Beside, ModelError> {
        let path = folder.join(SENTENCES);
        limit::check_json(&path)?;
        let sentences = match path.is_file() {
            true => serde_json::from_slice(&fs::read(&path)?)
                .map_err(|error| ModelError::Json { path, detail: error.to_string() })?,
            false => Value::Null,
        };
        Ok(Beside { has_adapter: folder.join(ADAPTER).is_file(), sentences })
    }

    /// Returns a line about each setting that is not followed, where texts may have `longest`
    /// tokens, and their case is folded or not.
    pub fn remarks(&self, longest: usize, folds_case: bool) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.has_adapter {
            remarks.push(format!(
                "the folder has an {ADAPTER}, which `transformers` would apply; the weights are \
                 used without the adapter"
            ));
        }
        let most = self.sentences.get("max_seq_length").and_then(Value::as_f64);
        if let Some(most) = most.filter(|most| *most > 0.0 && *most < longest as f64) {
            remarks.push(format!(
                "{SENTENCES} has `max_seq_length: {most}`; texts of up to {longest} tokens are used"
            ));
        }
        let lower = self.sentences.get("do_lower_case").and_then(Value::as_bool);
        if lower == Some(true) && !folds_case {
            remarks.push(format!(
                "{SENTENCES} has `do_lower_case: true`, but the tokenizer keeps case, and texts \
                 are used as they are"
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_said() -> Result<(), ModelError> {
        let folder = tempfile::tempdir()?;
        assert!(Beside::read(folder.path())?.remarks(512, false).is_empty());
        let path = folder.path().join(SENTENCES);
        fs::write(&path, r#"{"max_seq_length": 128, "do_lower_case": true}"#)?;
        fs::write(folder.path().join(ADAPTER), "{}")?;
        let beside = Beside::read(folder.path())?;
        assert_eq!(beside.remarks(128, true).len(), 1);
        let all = beside.remarks(256, false);
        for part in ["without the adapter", "`max_seq_length: 128`; texts of up to 256", "keeps"] {
            assert!(all.iter().any(|line| line.contains(part)), "{part}: {all:?}");
        }
        fs::write(&path, "{")?;
        assert!(matches!(Beside::read(folder.path()), Err(ModelError::Json { .. })));
        Ok(())
    }
}
