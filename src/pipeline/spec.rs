//! The typed pipeline.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use super::format;
use super::problem::error::SpecError;
use super::problem::problem::Problem;
use super::problem::source::{Location, Sources, Span};
use super::resolve::overrides::Override;
use super::resolve::uses::Uses;
use super::yaml::emit;
use super::yaml::node::{Form, Map, Value};
use super::yaml::secret::StageSecrets;
use crate::base::digest::Digest;
use crate::base::secrets::Secrets;
use crate::search::config::Sweep;
use crate::stages::{StageConfig, StageId};

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// The name of a pipeline whose file gives it none.
pub(super) const UNNAMED: &str = "pipeline";

/// A pipeline: the file, overridden, interpolated and typed.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The pipeline file; [`STDIN`] if it came through a pipe.
    pub path: PathBuf,
    /// The base of relative paths in it: the file's folder, or the working folder.
    pub folder: PathBuf,
    pub name: String,
    pub seed: u64,
    /// The parameters after overrides, for the `param.*` columns: dotted keys below `params`.
    pub params: IndexMap<String, serde_json::Value>,
    pub stages: IndexMap<StageId, StageConfig>,
    /// The settings of `pipe sweep`.
    pub sweep: Option<Sweep>,
    /// The text of the file.
    pub source: String,
    /// The overrides from the command line.
    pub overrides: Vec<Override>,
    pub(super) sources: Arc<Sources>,
    /// The file's tree, overridden and interpolated.
    pub(super) tree: Arc<Map>,
    pub(super) uses: Arc<Uses>,
    /// The values of environment variables that the file uses.
    pub(super) secrets: Secrets,
    /// The file's tree without its sweep, as it was parsed.
    pub(super) raw: Arc<Map>,
}

impl Spec {
    /// Makes the pipeline one that has no file of its own.
    pub(super) fn come_through_a_pipe(&mut self) {
        self.path = PathBuf::from(STDIN);
        self.folder = PathBuf::from(".");
        if self.tree.get("name").is_none_or(|entry| entry.node.is_null()) {
            UNNAMED.clone_into(&mut self.name);
        }
    }

    /// Returns the place of a value by its dotted key from the top of the file
    /// (`stages.tuned.train.epochs`). If the file lacks the key, returns the place of the nearest
    /// key above. A value set by an override has no place in the file, but the key above it may
    /// have one.
    pub fn locate(&self, key: &str) -> Option<Location> {
        let mut spans = self.spans(key.split('.'));
        spans.retain(|span| span.origin == 0);
        spans.last().map(|span| self.sources.location(*span))
    }

    /// Returns the resolved pipeline (overridden, interpolated, defaults filled in) as YAML that
    /// [`super::Draft::read`] reads back to the same spec. Values of environment variables are
    /// their names there; a comment has a digest of each, so that files with other values are
    /// other texts.
    pub fn resolved(&self) -> String {
        let mut yaml = emit::Emitter::default();
        yaml.value("version", &format::VERSION.to_string(), Form::Plain);
        for (key, text, form) in
            [("name", self.name.clone(), Form::Text), ("seed", self.seed.to_string(), Form::Plain)]
        {
            match self.tree.get(key).map(|entry| &entry.node.value) {
                Some(Value::Scalar(scalar)) if scalar.written.is_some() => yaml.scalar(key, scalar),
                _ => yaml.value(key, &text, form),
            }
        }
        if let Some(Value::Map(params)) = self.tree.get("params").map(|entry| &entry.node.value) {
            // Nothing refers to them any more.
            yaml.value("resolved", "true", Form::Plain);
            yaml.tree("params", params);
        }
        yaml.stages(&self.stages, self.tree.get("stages").map(|entry| &entry.node));
        if let Some(sweep) = &self.sweep {
            yaml.typed("sweep", sweep, self.tree.get("sweep").map(|entry| &entry.node));
        }
        let secrets = self.tree.iter().filter(|(key, _)| !["name", "seed"].contains(&key.as_str()));
        let secrets: BTreeMap<&str, &str> =
            secrets.flat_map(|(_, entry)| entry.node.secrets()).collect();
        for (name, text) in secrets {
            let digest = Digest::of(format!("{name}\n{text}").as_bytes());
            yaml.comment(&format!("{} has the digest {digest}", name.escape_debug()));
        }
        yaml.finish()
    }

    /// Returns the values of a stage that environment variables gave.
    pub fn stage_secrets(&self, id: &StageId, kind: &str) -> StageSecrets {
        let stages = self.tree.get("stages").and_then(|entry| entry.node.as_map());
        match stages.and_then(|map| map.get(&id.0)) {
            Some(entry) => StageSecrets::of(&entry.node, kind, &self.secrets),
            None => StageSecrets::default(),
        }
    }

    /// Returns whether something outside `params` refers to the parameter with this dotted key
    /// below `params`, or to one below it.
    pub fn refers_to(&self, parameter: &str) -> bool {
        self.uses.reach(parameter)
    }

    /// Returns a problem at a dotted key, for [`super::Draft::finish`] and [`Spec::error`].
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.problem_at(key.split('.'), message)
    }

    /// Returns a problem at the key of an override, by its place among them.
    pub fn problem_of_override(&self, place: usize, message: impl Into<String>) -> Problem {
        let end = self.overrides.get(place).map_or(0, |one| one.key.len());
        Problem::at(Span { origin: place + 1, start: 0, end }, message)
    }

    /// Returns a problem at a key that is given as separate names, since a name may contain dots.
    pub fn problem_at<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        message: impl Into<String>,
    ) -> Problem {
        match self.spans(names).last() {
            Some(span) => Problem::at(*span, message),
            None => Problem::of_file(message),
        }
    }

    /// Returns the error of these problems.
    pub fn error(&self, mut problems: Vec<Problem>) -> SpecError {
        // Checks quote values, and know nothing of where they come from.
        for problem in &mut problems {
            for text in std::iter::once(&mut problem.message).chain(&mut problem.hint) {
                *text = self.secrets.hide(text).into_owned();
            }
        }
        SpecError::new(Arc::clone(&self.sources), problems)
    }

    /// Returns the places of the keys on the way to a key, as far as they exist; the last is the
    /// place of the value.
    fn spans<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Vec<Span> {
        let mut spans = Vec::new();
        let Some(mut entry) = names.next().and_then(|name| self.tree.get(name)) else {
            return spans;
        };
        let mut node = &entry.node;
        let mut span = entry.key;
        loop {
            spans.push(if matches!(node.value, Value::Scalar(_)) { node.span } else { span });
            let Some(name) = names.next() else { break };
            match &node.value {
                Value::Map(map) => {
                    let Some(next) = map.get(name) else { break };
                    entry = next;
                    (node, span) = (&entry.node, entry.key);
                }
                Value::List(items) => {
                    let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get(index))
                    else {
                        break;
                    };
                    (node, span) = (item, item.span);
                }
                Value::Scalar(_) | Value::Broken => break,
            }
        }
        spans
    }
}
