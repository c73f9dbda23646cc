//! The cache key: all inputs that can change a stage's output, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::digest::Digest;
use crate::runner::job::Job;
use crate::stages::External;

/// The version of the cache layout. It is part of every key, so that no layout reads the entries of
/// another.
pub const FORMAT: u32 = 1;

/// All inputs that can change a stage's output. The key is the hash of its canonical JSON, which is
/// kept beside the output as `key.json` so that `pipe why` can name changes.
///
/// The ids of stages are left out: inputs are listed by field with their own keys, so that renaming
/// a stage changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyMaterial {
    /// The layout of the cache.
    pub format: u32,
    pub kind: String,
    pub code_version: u32,
    /// The typed configuration without the fields that name inputs.
    pub config: Value,
    /// The inputs' keys by field.
    pub inputs: BTreeMap<String, Digest>,
    /// `None` if the stage does not use it.
    pub seed: Option<u64>,
    /// `None` if the stage does not use it.
    pub runtime: Option<RuntimeMaterial>,
    /// Files and models behind the configuration.
    pub externals: Vec<External>,
}

/// The properties of the engine that can change an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeMaterial {
    pub version: String,
    /// The digest of the library file; `None` if it is not installed yet, which holds for no
    /// finished output.
    pub library: Option<Digest>,
    pub device: String,
    pub threads: usize,
}

impl RuntimeMaterial {
    /// Returns the material of a job, which may name a device of its own.
    fn of_job(&self, job: &Job<'_>) -> RuntimeMaterial {
        let device = job.device().map_or_else(|| self.device.clone(), |device| device.to_string());
        RuntimeMaterial { device, ..self.clone() }
    }
}

impl KeyMaterial {
    /// Gathers the material of one job. `inputs` are the keys of the job's inputs, by field.
    pub fn new(
        job: &Job<'_>,
        inputs: BTreeMap<String, Digest>,
        seed: u64,
        runtime: Option<&RuntimeMaterial>,
        externals: &[External],
    ) -> KeyMaterial {
        let mut config = job.config.clone();
        for input in &job.inputs {
            remove(&mut config, input.field);
        }
        KeyMaterial {
            format: FORMAT,
            kind: job.kind_name.to_owned(),
            code_version: job.stage.code_version(),
            config: canonical(&config),
            inputs,
            seed: job.stage.uses_seed().then_some(seed),
            runtime: match (job.uses_runtime(), runtime) {
                (true, Some(runtime)) => Some(runtime.of_job(job)),
                _ => None,
            },
            externals: externals.to_vec(),
        }
    }

    /// Returns the material without a field of the configuration.
    pub fn without(&self, field: &str) -> KeyMaterial {
        let mut other = self.clone();
        remove(&mut other.config, field);
        other
    }

    /// Returns the key.
    pub fn key(&self) -> Digest {
        let value = serde_json::json!({
            "format": self.format,
            "kind": self.kind,
            "code_version": self.code_version,
            "config": self.config,
            "inputs": self.inputs,
            "seed": self.seed,
            "runtime": self.runtime,
            "externals": self.externals,
        });
        Digest::of(canonical(&value).to_string().as_bytes())
    }
}

/// Returns the same value with all keys sorted.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> =
                map.iter().map(|(key, value)| (key, canonical(value))).collect();
            Value::Object(sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Removes the value at dotted keys.
fn remove(value: &mut Value, path: &str) {
    let (first, rest) =
        path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (value, rest) {
        (Value::Object(map), None) => {
            map.shift_remove(first);
        }
        (Value::Object(map), Some(rest)) => {
            if let Some(inner) = map.get_mut(first) {
                remove(inner, rest);
            }
        }
        (Value::Array(items), rest) => {
            // An item of a list becomes null, so that the others keep their positions.
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                match rest {
                    Some(rest) => remove(item, rest),
                    None => *item = Value::Null,
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::base::secrets::Secrets;
    use crate::dag::plan::StepInput;
    use crate::runner::testing::Fake;

    fn material(config: Value) -> KeyMaterial {
        let stage = Fake { uses_runtime: true, ..Fake::data("x").seeded() };
        let job = Job {
            id: "x".into(),
            kind_name: "train",
            stage: &stage,
            config,
            secrets: Secrets::default(),
            own_secrets: Secrets::default(),
            inputs: vec![StepInput { field: "data", step: 0, draw: 0 }],
            output: crate::stages::Kind::DATA,
        };
        let runtime = RuntimeMaterial {
            version: "1.31.1".into(),
            library: Some(Digest::of(b"library")),
            device: "cpu".into(),
            threads: 2,
        };
        let externals = [External { name: "a.csv".into(), digest: Digest::of(b"rows") }];
        KeyMaterial::new(
            &job,
            BTreeMap::from([("data".into(), Digest::of(b"data"))]),
            13,
            Some(&runtime),
            &externals,
        )
    }

    fn example() -> Value {
        json!({
            "data": "one",
            "epochs": 3,
            "optimizer": {"adamw": {"learning_rate": 5e-5, "betas": [0.9, 0.999]}},
        })
    }

    #[test]
    fn every_part_changes_the_key() {
        let base = material(example());
        let parts: Vec<fn(&mut KeyMaterial)> = vec![
            |m| m.format += 1,
            |m| m.kind = "evaluate".into(),
            |m| m.code_version += 1,
            |m| m.config["epochs"] = json!(4),
            |m| m.config["optimizer"]["adamw"]["betas"][1] = json!(0.99),
            |m| m.config["added"] = json!(null),
            |m| {
                m.inputs.insert("data".into(), Digest::of(b"other"));
            },
            |m| {
                m.inputs.insert("more".into(), Digest::of(b"data"));
            },
            |m| m.seed = Some(14),
            |m| m.seed = None,
            |m| m.runtime = None,
            |m| m.runtime.iter_mut().for_each(|r| r.version = "1.31.2".into()),
            |m| m.runtime.iter_mut().for_each(|r| r.library = None),
            |m| m.runtime.iter_mut().for_each(|r| r.device = "cuda:0".into()),
            |m| m.runtime.iter_mut().for_each(|r| r.threads = 1),
            |m| m.externals[0].digest = Digest::of(b"other rows"),
            |m| m.externals[0].name = "b.csv".into(),
            |m| m.externals.clear(),
        ];
        let mut keys = BTreeSet::from([base.key()]);
        for (index, part) in parts.iter().enumerate() {
            let mut changed = base.clone();
            part(&mut changed);
            assert!(keys.insert(changed.key()), "part {index} leaves the key as it was");
        }
    }

    #[test]
    fn ids_and_order_change_nothing() -> Result<(), serde_json::Error> {
        let base = material(example());
        let mut renamed = example();
        renamed["data"] = json!("two");
        assert_eq!(material(renamed).key(), base.key());
        let reordered: Value = serde_json::from_str(concat!(
            r#"{"optimizer": {"adamw": {"betas": [0.9, 0.999], "learning_rate": 0.00005}}, "#,
            r#""epochs": 3, "data": "x"}"#
        ))?;
        assert_eq!(material(reordered).key(), base.key());
        Ok(())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Returns the same value with the order of all keys reversed.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                map.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect()
            }
            Value::Array(items) => items.iter().map(reversed).collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 300,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn keys_are_equal_exactly_where_configurations_are(a in value(), b in value()) {
            let written = |value: &Value| canonical(value).to_string();
            let of = |config: &Value| material(json!({"data": "x", "config": config})).key();
            prop_assert_eq!(of(&a) == of(&b), written(&a) == written(&b));
            prop_assert_eq!(of(&a), of(&reversed(&a)));
        }
    }
}
