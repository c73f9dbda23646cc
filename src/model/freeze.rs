//! Which parameters are trained.

use super::encoders::Config;
use crate::engine::Marks;

/// What stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Frozen {
    Nothing,
    /// Everything below the head.
    Encoder,
    /// Everything but the head and this many top layers.
    AllButTopLayers(usize),
    /// Names that match a pattern; `*` stands for any text.
    Names(Vec<String>),
}

impl Frozen {
    /// Returns whether a parameter (named relative to the encoder) is trained.
    pub fn trains(&self, config: &Config, name: &str, marks: Marks) -> bool {
        match self {
            Frozen::Nothing => true,
            Frozen::Encoder => marks.head,
            Frozen::AllButTopLayers(count) => {
                let first = config.layers.saturating_sub(*count);
                marks.head || marks.layer.is_some_and(|index| index >= first)
            }
            Frozen::Names(patterns) => !patterns.iter().any(|pattern| names(config, pattern, name)),
        }
    }

    /// Returns the patterns that match none of the names; such a pattern is a mistake, since it
    /// freezes nothing.
    pub fn unmatched(&self, config: &Config, parameters: &[String]) -> Vec<String> {
        let Frozen::Names(patterns) = self else { return Vec::new() };
        let is_idle =
            |pattern: &&String| !parameters.iter().any(|name| names(config, pattern, name));
        patterns.iter().filter(is_idle).cloned().collect()
    }
}

/// Returns whether a pattern matches a parameter's name, with the prefix that the architecture's
/// files have (`bert.`) or without.
fn names(config: &Config, pattern: &str, name: &str) -> bool {
    matches(pattern, name) || matches(pattern, &format!("{}{name}", config.encoder.prefix))
}

/// Returns whether a pattern, in which `*` stands for any text, matches a whole name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("embeddings.*", "embeddings.LayerNorm.weight"));
        assert!(matches("*.bias", "pooler.dense.bias"));
        assert!(matches("encoder.*.self.*.weight", "encoder.layer.0.attention.self.query.weight"));
        assert!(matches("pooler.dense.bias", "pooler.dense.bias"));
        assert!(!matches("pooler", "pooler.dense.bias"));
        assert!(!matches("*.weight", "pooler.dense.bias"));
        assert!(!matches("a*a", "a"));
        assert!(matches("*", ""));
    }
}
