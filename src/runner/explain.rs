//! The reason why a task would run or not.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::cache::cache::Cache;
use super::cache::entry::{Depth, Lookup};
use super::cache::key::KeyMaterial;
use super::cache::ledger::Ledger;
use super::job::Job;
use super::run::tasks::Task;
use crate::base::digest::Digest;

/// The reason why a task would run or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// The output is cached.
    Cached,
    /// The user forces it to run again.
    Forced,
    /// This stage of this pipeline file has never produced an output.
    FirstRun,
    /// It has produced outputs for other seeds only.
    FirstRunOfSeed(u64),
    /// Nothing changed; the output is no longer in the cache.
    Gone,
    /// Nothing changed; the output cannot be used.
    Damaged(String),
    /// These parts of the key have changed since the last time.
    Changed(Vec<Change>),
}

/// A part of a key that differs from the last time.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Kind {
        old: String,
        new: String,
    },
    /// A new version of `pipe` computes the stage differently.
    Code {
        old: u32,
        new: u32,
    },
    /// A value of the configuration, by its dotted key below the kind; `None` if it was or is
    /// absent.
    Config {
        key: String,
        old: Option<Value>,
        new: Option<Value>,
    },
    Seed {
        old: Option<u64>,
        new: Option<u64>,
    },
    /// A property of the engine with its old and new value.
    Runtime {
        what: &'static str,
        old: String,
        new: String,
    },
    /// A file or a model behind the configuration.
    External {
        name: String,
        old: Option<Digest>,
        new: Option<Digest>,
    },
    /// An input, by field, and the stage that now gives it.
    Input {
        field: String,
        stage: Option<String>,
    },
}

impl Reason {
    /// Returns whether the task would run.
    pub fn runs(&self) -> bool {
        *self != Reason::Cached
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Cached => f.write_str("cached"),
            Reason::Forced => f.write_str("forced"),
            Reason::FirstRun => f.write_str("first run"),
            Reason::FirstRunOfSeed(seed) => write!(f, "first run with seed {seed}"),
            Reason::Gone => f.write_str("its output is no longer in the cache"),
            Reason::Damaged(reason) => write!(f, "its output is damaged: {reason}"),
            Reason::Changed(changes) => {
                for (index, change) in changes.iter().enumerate() {
                    if index > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{change}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Kind { old, new } => write!(f, "kind changed: `{old}` -> `{new}`"),
            Change::Code { old, new } => {
                write!(f, "code of the stage changed: version {old} -> {new}")
            }
            Change::Config { key, old, new } => {
                write!(
                    f,
                    "config changed: `{key}`: {} -> {}",
                    shown(old.as_ref()),
                    shown(new.as_ref())
                )
            }
            Change::Seed { old, new } => {
                let seed =
                    |seed: &Option<u64>| seed.map_or("none".to_owned(), |seed| seed.to_string());
                write!(f, "seed changed: {} -> {}", seed(old), seed(new))
            }
            Change::Runtime { what, old, new } => write!(f, "{what} changed: {old} -> {new}"),
            Change::External { name, old: Some(_), new: Some(_) } => {
                write!(f, "content of `{name}` changed")
            }
            Change::External { name, old: None, .. } => write!(f, "`{name}` is new"),
            Change::External { name, new: None, .. } => write!(f, "`{name}` is no longer used"),
            Change::Input { field, stage: Some(stage) } => {
                write!(f, "input `{field}` changed (stage `{stage}`)")
            }
            Change::Input { field, stage: None } => write!(f, "input `{field}` is no longer there"),
        }
    }
}

/// Returns why a job with the task `task` would run for a seed, or not.
pub fn explain(
    cache: &Cache,
    ledger: &Ledger,
    jobs: &[Job<'_>],
    job: &Job<'_>,
    task: &Task,
    seed: u64,
) -> Reason {
    let lookup = cache.find(&task.key, Depth::Sizes);
    if matches!(lookup, Lookup::Hit(_)) {
        return Reason::Cached;
    }
    match (ledger.last(&job.id, seed), lookup) {
        (Some(last), Lookup::Damaged(reason)) if last.key == task.key => Reason::Damaged(reason),
        (Some(last), _) if last.key == task.key => Reason::Gone,
        (Some(last), _) => Reason::Changed(changes(&last.material, &task.material, |field| {
            let input = job.inputs.iter().find(|input| input.field == field)?;
            Some(jobs[input.step].id.clone())
        })),
        (None, Lookup::Damaged(reason)) => Reason::Damaged(reason),
        (None, _) if ledger.knows(&job.id) => Reason::FirstRunOfSeed(seed),
        (None, _) => Reason::FirstRun,
    }
}

/// Lists the differences between two materials.
pub(super) fn changes(
    old: &KeyMaterial,
    new: &KeyMaterial,
    stage: impl Fn(&str) -> Option<String>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.kind != new.kind {
        // The configurations of two kinds cannot be compared.
        changes.push(Change::Kind { old: old.kind.clone(), new: new.kind.clone() });
    } else {
        if old.code_version != new.code_version || old.format != new.format {
            changes.push(Change::Code { old: old.code_version, new: new.code_version });
        }
        let (before, after) = (leaves(&old.config), leaves(&new.config));
        for key in union(&before, &after) {
            let (old, new) = (before.get(key), after.get(key));
            if old != new {
                changes.push(Change::Config {
                    key: key.clone(),
                    old: old.cloned(),
                    new: new.cloned(),
                });
            }
        }
    }
    if old.seed != new.seed {
        changes.push(Change::Seed { old: old.seed, new: new.seed });
    }
    if let (Some(old), Some(new)) = (&old.runtime, &new.runtime) {
        let mut compare = |what, old: String, new: String| {
            if old != new {
                changes.push(Change::Runtime { what, old, new });
            }
        };
        compare("device", old.device.clone(), new.device.clone());
        compare("number of threads", old.threads.to_string(), new.threads.to_string());
        compare("version of ONNX Runtime", old.version.clone(), new.version.clone());
        if old.version == new.version {
            let library =
                |digest: Option<Digest>| digest.map_or("not installed".to_owned(), |d| d.short());
            compare("library of ONNX Runtime", library(old.library), library(new.library));
        }
    }
    let named = |material: &KeyMaterial| -> BTreeMap<String, Digest> {
        material.externals.iter().map(|external| (external.name.clone(), external.digest)).collect()
    };
    let (before, after) = (named(old), named(new));
    for name in union(&before, &after) {
        let (old, new) = (before.get(name).copied(), after.get(name).copied());
        if old != new {
            changes.push(Change::External { name: name.clone(), old, new });
        }
    }
    for field in union(&old.inputs, &new.inputs) {
        if old.inputs.get(field) != new.inputs.get(field) {
            changes.push(Change::Input { field: field.clone(), stage: stage(field) });
        }
    }
    changes
}

fn union<'a, V>(
    old: &'a BTreeMap<String, V>,
    new: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = &'a String> {
    new.keys().chain(old.keys().filter(|key| !new.contains_key(*key)))
}

/// Flattens a configuration to its values by dotted key; an empty map or list counts as a value.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
        let below =
            |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(key, value)| walk(value, below(key), found))
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| walk(value, below(&index.to_string()), found));
            }
            other => {
                found.insert(path, other.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(value, String::new(), &mut found);
    found
}

fn shown(value: Option<&Value>) -> String {
    value.map_or("absent".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::runner::testing::Line;

    #[test]
    fn each_difference_is_named() {
        let mut old = Line::new().tasks(&[1]).all.remove(1).material;
        old.config = json!({
            "epochs": 3,
            "optimizer": {"adamw": {"learning_rate": 5e-5, "betas": [0.9, 0.999]}},
        });
        let mut new = old.clone();
        new.config = json!({
            "epochs": 3,
            "optimizer": {"adamw": {"learning_rate": 1e-5, "betas": [0.9, 0.99]}},
            "x": {},
        });
        new.code_version += 1;
        new.inputs.insert("data".into(), Digest::of(b"new"));
        new.externals
            .push(crate::stages::External { name: "a.csv".into(), digest: Digest::of(b"rows") });
        let text = Reason::Changed(changes(&old, &new, |_| Some("data".into()))).to_string();
        assert_eq!(
            text.split("; ").collect::<Vec<_>>(),
            [
                "code of the stage changed: version 1 -> 2",
                "config changed: `optimizer.adamw.betas`: [0.9,0.999] -> [0.9,0.99]",
                "config changed: `optimizer.adamw.learning_rate`: 0.00005 -> 0.00001",
                "config changed: `x`: absent -> {}",
                "`a.csv` is new",
                "input `data` changed (stage `data`)",
            ]
        );
        assert_eq!(changes(&old, &old, |_| None), []);
    }
}
