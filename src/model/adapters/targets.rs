//! Which linear layers get an adapter.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::encoders::parts::module::Module;

/// The name that stands for all.
const ALL: &str = "all_linear";

/// Linear layers within an encoder's layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Each of them.
    AllLinear,
    /// Those that one of these names stands for; see [`Module::is_named`].
    Named(Vec<String>),
}

impl Default for Targets {
    fn default() -> Targets {
        Targets::Named(["query", "value"].map(str::to_owned).into())
    }
}

impl Targets {
    /// Says whether a layer is one of them.
    pub fn include(&self, module: &Module) -> bool {
        match self {
            Targets::AllLinear => true,
            Targets::Named(names) => names.iter().any(|name| module.is_named(name)),
        }
    }

    /// Returns the names that stand for none of these layers.
    pub fn idle(&self, modules: &[Module]) -> Vec<String> {
        let Targets::Named(names) = self else { return Vec::new() };
        let is_idle = |name: &&String| !modules.iter().any(|module| module.is_named(name));
        names.iter().filter(is_idle).cloned().collect()
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Targets::AllLinear => serializer.serialize_str(ALL),
            Targets::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Targets, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Targets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{ALL}` or a list of names such as `[query, value]`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Targets, E> {
                if word == ALL { Ok(Targets::AllLinear) } else { Err(unknown(word)) }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Targets, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Targets::Named(names))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn unknown<E: Error>(word: &str) -> E {
    E::custom(format!("expected `{ALL}` or a list of names, found `{word}`"))
}

impl JsonSchema for Targets {
    fn schema_name() -> Cow<'static, str> {
        "Targets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "string", "const": ALL },
                { "type": "array", "items": { "type": "string" } },
            ],
            "description": "Linear layers within the encoder's layers.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_a_word_or_a_list() -> Result<(), serde_json::Error> {
        for text in [r#""all_linear""#, r#"["query","output.dense"]"#] {
            let targets: Targets = serde_json::from_str(text)?;
            assert_eq!(serde_json::to_string(&targets)?, text);
        }
        for text in [r#""query""#, "3", "[3]"] {
            assert!(serde_json::from_str::<Targets>(text).is_err(), "{text}");
        }
        Ok(())
    }
}
