//! The first difference between a stored output and a replayed one.

use std::path::Path;

use serde_json::Value;

use crate::base::chain::chain;
use crate::data;
use crate::model;
use crate::runner::cache::entry::Entry;

/// The places of times and memory, which differ from run to run and are no results.
const COSTS: [&str; 4] =
    ["summary.seconds", "training.seconds", "summary.peak_memory", "training.peak_memory"];

/// Describes the first difference of two outputs of the same stage, weights first; `None` where
/// they are the same but for times and memory. What was removed from the stored one is not
/// compared.
pub(super) fn first(stored: &Entry, replayed: &Entry) -> Option<String> {
    let (ours, theirs) = (&stored.done.files, &replayed.done.files);
    let mut names: Vec<&String> = ours.keys().collect();
    // The formats that say most come first: of the same weights, safetensors names the tensor.
    let rank = |name: &str| match name.rsplit('.').next() {
        Some("safetensors") => 0,
        Some("parquet") => 1,
        Some("json") => 2,
        _ => 3,
    };
    names.sort_by_key(|name| (rank(name), name.as_str()));
    for name in names {
        let Some(other) = theirs.get(name) else {
            return Some(format!("`{name}` is stored, and was not made by the replay"));
        };
        if ours[name].digest == other.digest {
            continue;
        }
        let (one, other) = (stored.output().join(name), replayed.output().join(name));
        if let Some(difference) = of_files(name, rank(name), &one, &other) {
            return Some(format!("`{name}`: {difference}"));
        }
    }
    let added = theirs.keys().find(|name| !ours.contains_key(*name) && !stored.done.is_stripped);
    added.map(|name| format!("`{name}` was made by the replay, and is not stored"))
}

fn of_files(name: &str, rank: u8, one: &Path, other: &Path) -> Option<String> {
    let unreadable = |error: &(dyn std::error::Error + 'static)| Some(chain(error));
    match rank {
        0 | 1 => {
            let first = match rank {
                0 => model::difference::first(one, other).map_err(|error| chain(&error)),
                _ => data::difference::first(one, other).map_err(|error| chain(&error)),
            };
            let same = "the values are the same, and written in another way";
            Some(first.unwrap_or_else(Some).unwrap_or_else(|| same.to_owned()))
        }
        _ => {
            let read = |path: &Path| fs_err::read(path);
            let (one, other) = match (read(one), read(other)) {
                (Ok(one), Ok(other)) => (one, other),
                (Err(error), _) | (_, Err(error)) => return unreadable(&error),
            };
            let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
            match (name.ends_with(".json"), json(&one), json(&other)) {
                (true, Some(one), Some(other)) => of_json(&one, &other, ""),
                _ => of_bytes(&one, &other),
            }
        }
    }
}

/// Describes the first value in which two JSON documents differ, apart from times.
fn of_json(one: &Value, other: &Value, path: &str) -> Option<String> {
    let below = |key: &str| match path.is_empty() {
        true => key.to_owned(),
        false => format!("{path}.{key}"),
    };
    let differs = || Some(format!("`{path}` is {one}, replayed {other}"));
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            let mut keys = keys.filter(|key| !COSTS.contains(&below(key).as_str()));
            keys.find_map(|key| match (one.get(key), other.get(key)) {
                (Some(one), Some(other)) => of_json(one, other, &below(key)),
                (one, _) => Some(format!(
                    "`{}` is only in the {} file",
                    below(key),
                    if one.is_some() { "stored" } else { "replayed" }
                )),
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .find_map(|(place, (one, other))| of_json(one, other, &below(&place.to_string()))),
        // Zero equals minus zero as a number.
        (Value::Number(one), Value::Number(other)) if format!("{one}") == format!("{other}") => {
            None
        }
        (Value::Number(_), Value::Number(_)) => differs(),
        _ if one == other => None,
        _ => differs(),
    }
}

fn of_bytes(one: &[u8], other: &[u8]) -> Option<String> {
    let place = one.iter().zip(other).position(|(one, other)| one != other);
    match place {
        Some(place) => {
            Some(format!("byte {place} is {:02x}, replayed {:02x}", one[place], other[place]))
        }
        None if one.len() == other.len() => None,
        None => Some(format!("{} bytes, replayed {}", one.len(), other.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_named_and_times_are_not_compared() {
        let one = json!({"metrics": {"f1": [0.5, 0.25]}, "training": {"seconds": 1.0}});
        let mut other = json!({"metrics": {"f1": [0.5, 0.25]}, "training": {"seconds": 2.0}});
        assert_eq!(of_json(&one, &other, ""), None);
        other["metrics"]["f1"][1] = json!(0.125);
        let text = "`metrics.f1.1` is 0.25, replayed 0.125";
        assert_eq!(of_json(&one, &other, "").as_deref(), Some(text));
        assert!(of_json(&json!({"seconds": 1}), &json!({"seconds": 2}), "").is_some());
        assert!(of_json(&json!({"a": null}), &json!({}), "").is_some());
        assert!(of_json(&json!([0.0]), &json!([-0.0]), "").is_some());
        assert_eq!(of_bytes(b"abc", b"abd").as_deref(), Some("byte 2 is 63, replayed 64"));
        assert_eq!(of_bytes(b"abc", b"ab").as_deref(), Some("3 bytes, replayed 2"));
        assert_eq!(of_bytes(b"abc", b"abc"), None);
    }
}
