//! JSON lines: one object per line.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns;
use super::error::SourceError;
use super::row::{Place, Raw};
use super::settings::Names;

/// The members of an object in their order, each as it is written, so that numbers keep their
/// spelling and no member hides another.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

/// What stands behind a key.
enum Value {
    Missing,
    Text(String),
    Other(&'static str),
}

/// Reads the two columns of a table.
pub(super) fn rows(file: &Path, text: &str, names: Names<'_>) -> Result<Vec<Raw>, SourceError> {
    let shown = || file.display().to_string();
    let mut rows: Vec<Raw> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let mut is_found = names.map(|name| name.is_none());
    let lines = text.lines().enumerate().map(|(index, content)| (index + 1, content));
    for (line, content) in lines.filter(|(_, content)| !content.trim().is_empty()) {
        let Members(members) = serde_json::from_str(content)
            .map_err(|error| malformed(file, line, content, &error))?;
        let place = Place { row: rows.len() + 1, line: Some(line) };
        let mut cells = [None, None];
        for (column, name) in names.into_iter().enumerate() {
            let Some(name) = name else { continue };
            let mut values = members.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
            let Some(value) = values.next() else { continue };
            is_found[column] = true;
            if values.next().is_some() {
                return Err(SourceError::TwoKeys { file: shown(), column: name.to_owned(), line });
            }
            let may_be_list = column == 0;
            let value =
                read(value.get(), may_be_list).map_err(|e| malformed(file, line, content, &e))?;
            match value {
                Value::Missing => {}
                Value::Text(text) => cells[column] = Some(text),
                Value::Other(found) => {
                    return Err(SourceError::WrongValue {
                        file: shown(),
                        place,
                        column: name.to_owned(),
                        found: found.to_owned(),
                        expected: "a string, a number or a boolean",
                    });
                }
            }
        }
        for (key, _) in members.iter().filter(|(key, _)| !names.contains(&Some(key.as_str()))) {
            if others.len() < 50 && !others.contains(key) {
                others.push(key.clone());
            }
        }
        rows.push(Raw { line: Some(line), cells });
    }
    // A key that is in no row is a wrong name; a key that is missing in some rows is an empty cell.
    if let Some(missing) = (0..2).find(|&column| !is_found[column]).and_then(|it| names[it])
        && !rows.is_empty()
    {
        let there = (0..2).filter(|&column| is_found[column]).filter_map(|column| names[column]);
        let found: Vec<String> = others.into_iter().chain(there.map(str::to_owned)).collect();
        return Err(columns::missing(file, &found, missing, None));
    }
    Ok(rows)
}

/// The members of an object.
pub(super) type Object = Vec<(String, Box<RawValue>)>;

/// Reads an object of a line with all of its members, and its text; `None` where it has no such
/// member, and nothing in it where that is `null`.
pub(super) fn object(
    file: &Path,
    (line, place): (usize, Place),
    content: &str,
    text: &str,
) -> Result<(Object, Option<Option<String>>), SourceError> {
    let shown = || file.display().to_string();
    let failed = |error: serde_json::Error| malformed(file, line, content, &error);
    let Members(members) = serde_json::from_str(content).map_err(failed)?;
    let mut named = members.iter().filter(|(key, _)| key == text).map(|(_, value)| value);
    let value = named.next();
    if named.next().is_some() {
        return Err(SourceError::TwoKeys { file: shown(), column: text.to_owned(), line });
    }
    let found = match value.map(|value| read(value.get(), true)).transpose().map_err(failed)? {
        None => None,
        Some(Value::Missing) => Some(None),
        Some(Value::Text(text)) => Some(Some(text)),
        Some(Value::Other(found)) => {
            return Err(SourceError::WrongValue {
                file: shown(),
                place,
                column: text.to_owned(),
                found: found.to_owned(),
                expected: "a string, a number or a boolean",
            });
        }
    };
    let owned = members.into_iter().map(|(key, value)| (key, value.to_owned()));
    Ok((owned.collect(), found))
}

/// Reads a value as it is written. A list of one text is this text; a label in a list is one of
/// several labels.
fn read(written: &str, may_be_list: bool) -> serde_json::Result<Value> {
    Ok(match written.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str(written)?),
        Some(b'n') => Value::Missing,
        Some(b'{') => Value::Other("an object"),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(written)?;
            match items.as_slice() {
                [one] if may_be_list => match read(one.get(), false)? {
                    Value::Other(_) => Value::Other("a list"),
                    value => value,
                },
                _ => Value::Other("a list"),
            }
        }
        _ => Value::Text(written.to_owned()),
    })
}

fn malformed(file: &Path, line: usize, content: &str, error: &serde_json::Error) -> SourceError {
    let full = error.to_string();
    let reason = full.rsplit_once(" at line ").map_or(&*full, |(reason, _)| reason);
    let hint = if content.trim_start().starts_with('[') {
        "write one object per line instead of one list of objects"
    } else if ["NaN", "Infinity"].iter().any(|word| content.contains(word)) {
        "JSON has no `NaN` and no `Infinity`; write `null` where a value is missing"
    } else {
        "write one object per line, such as {\"text\": \"…\", \"label\": \"…\"}, and a quote within \
         a text as \\\""
    };
    SourceError::Malformed {
        file: file.display().to_string(),
        format: "JSON lines",
        reason: format!("line {line}: {reason} (column {})", error.column()),
        hint: Some(hint.to_owned()),
    }
}
