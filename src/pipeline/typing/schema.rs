//! The JSON Schema of the pipeline file, generated from the types.

use indexmap::IndexMap;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::pipeline::format;
use crate::search::config::Sweep;
use crate::stages::StageConfig;

/// Returns the JSON Schema of the pipeline file (draft 2020-12), indented, with a final newline.
pub fn schema() -> String {
    let mut schema = of_types();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    refine(&mut schema, &definitions);
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.insert(INTERPOLATION.to_owned(), interpolation());
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Returns the schema as the types have it: the values alone, without interpolations.
pub(super) fn of_types() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Pipeline>();
    let mut schema = schema.to_value();
    unwrap_descriptions(&mut schema);
    schema
}

/// Makes one line of every paragraph, so that the width of the source leaves no trace.
fn unwrap_descriptions(schema: &mut Value) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> =
            text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(unwrap_descriptions),
        Value::Array(items) => items.iter_mut().for_each(unwrap_descriptions),
        _ => {}
    }
}

/// A pipeline of `pipe`: stages that load, augment, train and evaluate.
#[derive(JsonSchema)]
#[schemars(title = "pipe pipeline", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: the file is typed stage by stage, so that all problems are \
              found"
)]
struct Pipeline {
    /// The version of the file format.
    #[schemars(extend("const" = 1))]
    version: u64,
    /// The name of the pipeline in run folders and tables: letters, digits, `-`, `_` and `.`.
    /// Default: the file's name.
    #[schemars(
        default,
        length(min = 1, max = 64),
        regex(pattern = "^([A-Za-z0-9_.-]+|.*\\$\\{.+\\}.*)$")
    )]
    name: Option<String>,
    /// The seed of every random stream.
    #[schemars(default = "default_seed")]
    seed: u64,
    /// Whether this is the record of a run, whose interpolations are filled in. Then nothing needs
    /// to refer to its `params`. It is set in the `resolved.yaml` of a run.
    #[schemars(default)]
    resolved: bool,
    /// Values that stages use as `${params.NAME}`; `--set params.NAME=VALUE` overrides them. One
    /// that nothing refers to is an error.
    #[schemars(default, extend("propertyNames" = names()))]
    params: IndexMap<String, Value>,
    /// The stages by id. Each has one kind; its inputs are fields with the id of another stage.
    #[schemars(extend("propertyNames" = names(), "minProperties" = 1))]
    stages: IndexMap<String, StageConfig>,
    /// The settings of `pipe sweep`; `pipe run` ignores them.
    #[schemars(default)]
    sweep: Option<Sweep>,
}

fn default_seed() -> u64 {
    format::DEFAULT_SEED
}

fn names() -> Value {
    json!({ "pattern": "^[A-Za-z0-9_-]{1,64}$" })
}

const INTERPOLATION: &str = "Interpolation";

fn interpolation() -> Value {
    json!({
        "description": "A parameter or environment variable instead of the value: \
                        `${params.NAME}`, `${env:NAME}`.",
        "type": "string",
        "pattern": "\\$\\{(params\\.|env:).+\\}",
    })
}

/// Adapts a schema to the reader: allows interpolations instead of values and bare names for kinds
/// without settings, and refuses unknown keys.
fn refine(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(|inner| refine(inner, definitions));
            if object.contains_key("properties") {
                object.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            name_kinds(object, definitions);
            for keyword in ["properties", "$defs"] {
                if let Some(Value::Object(inner)) = object.get_mut(keyword) {
                    inner.values_mut().for_each(allow_interpolation);
                }
            }
            for keyword in ["items", "additionalProperties"] {
                if let Some(inner) = object.get_mut(keyword) {
                    allow_interpolation(inner);
                }
            }
            if let Some(Value::Array(items)) = object.get_mut("prefixItems") {
                items.iter_mut().for_each(allow_interpolation);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| refine(inner, definitions)),
        _ => {}
    }
}

/// Allows the bare name of a kind whose settings all have defaults: `linear` for `linear: {}`.
fn name_kinds(object: &mut Map<String, Value>, definitions: &Value) {
    let Some(Value::Array(kinds)) = object.get_mut("oneOf") else { return };
    let mut named = Vec::new();
    for kind in kinds.iter() {
        let Some(properties) = kind.get("properties").and_then(Value::as_object) else { continue };
        let Some((name, content)) = properties.iter().next().filter(|_| properties.len() == 1)
        else {
            continue;
        };
        let target = content
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| definitions.get(reference.strip_prefix("#/$defs/")?));
        let all_default = target.is_some_and(|target| {
            target.get("properties").is_some() && target.get("required").is_none()
        });
        if all_default {
            let mut alone = json!({ "type": "string", "const": name });
            if let (Some(description), Some(alone)) =
                (kind.get("description"), alone.as_object_mut())
            {
                alone.insert("description".to_owned(), description.clone());
            }
            named.push(alone);
        }
    }
    kinds.extend(named);
}

/// Allows an interpolation for a number, a truth value, a list or a kind; a text may be one anyway.
fn allow_interpolation(schema: &mut Value) {
    let reference = json!({ "$ref": format!("#/$defs/{INTERPOLATION}") });
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("const") && object.get("type") != Some(&json!("string")) {
        return;
    }
    if let Some(Value::Array(kinds)) = object.get_mut("oneOf") {
        if !kinds.contains(&reference) {
            kinds.push(reference);
        }
        return;
    }
    if let Some(Value::Array(kinds)) = object.get_mut("anyOf") {
        if !kinds.contains(&reference) {
            kinds.push(reference);
        }
        return;
    }
    let types: Vec<&str> = match object.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is_text = types.contains(&"string") && !object.contains_key("enum");
    if is_text || types == ["object"] {
        return;
    }
    // Descriptions of the value stay on the outer level, where editors read them.
    let mut outer = Map::new();
    for keyword in ["description", "default"] {
        if let Some(value) = object.shift_remove(keyword) {
            outer.insert(keyword.to_owned(), value);
        }
    }
    outer.insert(
        "anyOf".to_owned(),
        Value::Array(vec![Value::Object(std::mem::take(object)), reference]),
    );
    *object = outer;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(schema: &Value, visit: &mut dyn FnMut(&Map<String, Value>)) {
        match schema {
            Value::Object(object) => {
                visit(object);
                object.values().for_each(|inner| walk(inner, visit));
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
            _ => {}
        }
    }

    #[test]
    fn knows_the_keys_of_the_reader_and_no_others() -> Result<(), serde_json::Error> {
        let schema: Value = serde_json::from_str(&schema())?;
        let keys: Vec<&str> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(keys, format::KEYS);
        let mut closed = 0;
        walk(&schema, &mut |object| {
            if object
                .get("properties")
                .is_some_and(|p| p.is_object() && object.contains_key("type"))
            {
                assert_eq!(
                    object.get("additionalProperties"),
                    Some(&Value::Bool(false)),
                    "{object:?}"
                );
                closed += 1;
            }
        });
        assert!(closed > 10);
        Ok(())
    }
}
