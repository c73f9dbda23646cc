//! Files in a model folder that other programs follow and `pipe` does not: where they contradict
//! what is used, a line says so.

use std::path::Path;

use super::sentences::Sentences;
use super::sentences::modules::TEXTS;

/// What a folder of an adapter (PEFT) has in place of the model, or beside it.
pub(super) const ADAPTER: &str = "adapter_config.json";

/// The settings of other programs in a model folder.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    has_adapter: bool,
    /// The longest text that sentence-transformers reads, in tokens.
    max_seq_length: Option<usize>,
}

impl Beside {
    /// Looks what lies in an encoder's folder, beside what was read of it.
    pub fn of(encoder: &Path, sentences: &Sentences) -> Beside {
        Beside {
            has_adapter: encoder.join(ADAPTER).is_file(),
            max_seq_length: sentences.max_seq_length(),
        }
    }

    /// Returns a line about each setting that is not followed, where texts may have `longest`
    /// tokens.
    pub fn remarks(&self, longest: usize) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.has_adapter {
            remarks.push(format!(
                "the folder has an {ADAPTER}, which `transformers` would apply; the weights are \
                 used without the adapter"
            ));
        }
        if let Some(most) = self.max_seq_length.filter(|most| *most < longest) {
            remarks.push(format!(
                "{TEXTS} has `max_seq_length: {most}`; texts of up to {longest} tokens are used"
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::model::error::ModelError;

    #[test]
    fn contradictions_are_said() -> Result<(), ModelError> {
        let folder = tempfile::tempdir()?;
        let beside = || -> Result<Beside, ModelError> {
            Ok(Beside::of(folder.path(), &Sentences::read(folder.path())?))
        };
        assert!(beside()?.remarks(512).is_empty());
        let path = folder.path().join(TEXTS);
        fs::write(&path, r#"{"max_seq_length": 128}"#)?;
        fs::write(folder.path().join(ADAPTER), "{}")?;
        assert_eq!(beside()?.remarks(128).len(), 1);
        let all = beside()?.remarks(256);
        for part in ["without the adapter", "`max_seq_length: 128`; texts of up to 256"] {
            assert!(all.iter().any(|line| line.contains(part)), "{part}: {all:?}");
        }
        fs::write(&path, "{")?;
        assert!(matches!(Sentences::read(folder.path()), Err(ModelError::Json { .. })));
        Ok(())
    }
}
