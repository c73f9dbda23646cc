//! A pipeline file, read as far as its problems allow.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use indexmap::{IndexMap, IndexSet};
use serde_json::Value as Json;

use super::format::{DEFAULT_SEED, KEYS, VERSION};
use super::problem::error::SpecError;
use super::problem::problem::Problem;
use super::problem::source::{Sources, Span};
use super::problem::suggest;
use super::resolve::interpolate::{Environment, interpolate};
use super::resolve::overrides::Override;
use super::resolve::unused::{self, Before, parameters};
use super::resolve::uses::Uses;
use super::spec::{STDIN, Spec, UNNAMED};
use super::typing::typing::typed;
use super::yaml::node::{Entry, Map, Node, Value};
use super::yaml::parse::{Budget, parse};
use crate::base::secrets::Secrets;
use crate::search::config::Sweep;
use crate::stages::{StageConfig, StageId};

/// A pipeline file, read as far as its problems allow, so that stages can be checked against each
/// other before the problems are shown.
#[derive(Clone, Debug)]
pub struct Draft {
    spec: Spec,
    unsound: IndexSet<StageId>,
    problems: Vec<Problem>,
}

impl Draft {
    /// Reads a pipeline file. An error means that nothing is left to check. A pipeline that comes
    /// through a pipe (`-`, `/dev/stdin`, `<(…)` of a shell) has the working folder as its folder.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Draft, SpecError> {
        let is_piped = is_piped(path);
        match read_text(path) {
            Ok(text) => {
                let mut draft = Draft::parse(path, text, overrides)?;
                if is_piped {
                    draft.spec.come_through_a_pipe();
                }
                Ok(draft)
            }
            Err(problem) => Err(SpecError::new(
                Arc::new(Sources::new(path, String::new(), values(overrides))),
                vec![problem],
            )),
        }
    }

    /// Reads the text of a pipeline file; `path` is used in messages, for the default name, and as
    /// the base of relative paths.
    pub fn parse(path: &Path, text: String, overrides: &[Override]) -> Result<Draft, SpecError> {
        Draft::parse_in(path, text, overrides, &|name| std::env::var(name), From::File)
    }

    fn parse_in(
        path: &Path,
        text: String,
        overrides: &[Override],
        environment: Environment<'_>,
        from: From<'_>,
    ) -> Result<Draft, SpecError> {
        let sources = Arc::new(Sources::new(path, text, values(overrides)));
        let mut problems = Vec::new();
        match read_tree(&sources, overrides, environment, from, &mut problems) {
            Some(read) => Ok(read_spec(sources, read, overrides, problems)),
            None => Err(SpecError::new(sources, problems)),
        }
    }

    /// Reads a pipeline once more, from the same text and overrides, with more values set.
    pub fn again(spec: &Spec, values: &[Override]) -> Result<Draft, SpecError> {
        Draft::once_more(spec, values, From::Text)
    }

    /// Reads the pipeline of a trial: the same without its sweep, whose values would otherwise be
    /// read once for each of them.
    pub fn trial(spec: &Spec, values: &[Override]) -> Result<Draft, SpecError> {
        Draft::once_more(spec, values, From::Tree(&spec.raw))
    }

    fn once_more(spec: &Spec, values: &[Override], from: From<'_>) -> Result<Draft, SpecError> {
        let overrides: Vec<Override> = spec.overrides.iter().chain(values).cloned().collect();
        let environment = |name: &str| std::env::var(name);
        let mut draft =
            Draft::parse_in(&spec.path, spec.source.clone(), &overrides, &environment, from)?;
        draft.spec.folder.clone_from(&spec.folder);
        draft.spec.name.clone_from(&spec.name);
        Ok(draft)
    }

    /// Returns the pipeline. Stages in [`Draft::unsound`] have placeholders for unusable values of
    /// the file; the placeholder of a text is empty.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the stages with problems.
    pub fn unsound(&self) -> &IndexSet<StageId> {
        &self.unsound
    }

    /// Returns the pipeline, or all its problems, including `more`.
    pub fn finish(mut self, more: Vec<Problem>) -> Result<Spec, SpecError> {
        self.problems.extend(more);
        if self.problems.is_empty() {
            return Ok(self.spec);
        }
        Err(self.spec.error(self.problems))
    }
}

/// Returns the values of the command line, each behind its option.
fn values(overrides: &[Override]) -> Vec<(&'static str, String)> {
    overrides.iter().map(|one| (one.option(), one.to_string())).collect()
}

fn read_text(path: &Path) -> Result<String, Problem> {
    /// A pipeline with a thousand stages takes a tenth of this.
    const MAX_BYTES: u64 = 4 << 20;
    let shown = path.display();
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Problem::of_file(format!("there is no file `{shown}`")).maybe_hint(similar_file(path))
        }
        io::ErrorKind::IsADirectory => {
            Problem::of_file(format!("`{shown}` is a folder; expected a pipeline file"))
        }
        io::ErrorKind::PermissionDenied => {
            Problem::of_file(format!("no permission to read `{shown}`"))
        }
        kind => Problem::of_file(format!("cannot read `{shown}`: {kind}")),
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new(STDIN) {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::of_file(format!(
            "`{shown}` is larger than {} MiB; expected a pipeline file",
            MAX_BYTES >> 20
        )));
    }
    let not_text = |what: String| {
        Problem::of_file(format!("`{shown}` is not UTF-8 text: {what}"))
            .hint("a pipeline is a YAML file; save it as UTF-8")
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(not_text("it starts like UTF-16".to_owned()));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(not_text(format!("byte {at} is zero")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        not_text(format!(
            "byte {at} is 0x{:02x}",
            error.as_bytes().get(at).copied().unwrap_or_default()
        ))
    })
}

/// Returns whether a path names no file of its own: standard input, a pipe, or what a shell opened.
fn is_piped(path: &Path) -> bool {
    if path == Path::new(STDIN) {
        return true;
    }
    let is_pipe = fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
    // `/dev/stdin` may be a file, but the folder of that name is no place for runs.
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    is_pipe
        || folder.is_some_and(|folder| {
            folder == Path::new("/dev")
                || ["/dev/fd", "/proc"].iter().any(|devices| folder.starts_with(devices))
        })
}

/// Returns "did you mean" if the folder of a path has a file with a similar name.
fn similar_file(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    let near = suggest::nearest(name, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{}`?", path.with_file_name(near).display()))
}

/// The key of the settings of `pipe sweep`.
const SWEEP: &str = "sweep";

/// A file's tree, overridden and interpolated.
struct Tree {
    map: Map,
    uses: Uses,
    secrets: Secrets,
    /// The file's tree without its sweep, as it was parsed.
    raw: Map,
}

/// What a pipeline is read from.
#[derive(Clone, Copy)]
enum From<'a> {
    /// A file, all of whose parameters must be used.
    File,
    /// The text of a file that was read before. A value of one trial may take the place of a
    /// reference to the value of another parameter, so their uses are not checked.
    Text,
    /// The same, parsed and without its sweep.
    Tree(&'a Map),
}

fn read_tree(
    sources: &Sources,
    overrides: &[Override],
    environment: Environment<'_>,
    from: From<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Tree> {
    let mut budget = Budget::default();
    let mut map = match from {
        From::File | From::Text => read_map(sources, &mut budget, problems)?,
        From::Tree(map) => map.clone(),
    };
    let is_whole = !matches!(from, From::Tree(_));
    let raw = is_whole.then(|| map.iter().filter(|(key, _)| *key != SWEEP));
    let raw = raw.map(|raw| raw.map(|(key, entry)| (key.clone(), entry.clone())).collect());
    let before = matches!(from, From::File)
        .then(|| Before { uses: Uses::of(&map), names: parameters(&map) });
    for (index, one) in overrides.iter().enumerate() {
        if is_whole || !one.is_of(SWEEP) {
            one.apply(&mut map, index + 1, &mut budget, problems);
        }
    }
    let uses = match &before {
        Some(before) if overrides.is_empty() => before.uses.clone(),
        _ => Uses::of(&map),
    };
    if let Some(before) = before {
        unused::check(&map, &before, &uses, problems);
    }
    let secrets = interpolate(&mut map, sources, environment, &mut budget, problems);
    Some(Tree { map, uses, secrets, raw: raw.unwrap_or_default() })
}

/// Parses the file.
fn read_map(sources: &Sources, budget: &mut Budget, problems: &mut Vec<Problem>) -> Option<Map> {
    match parse(sources.text(Span::default()), 0, 0, budget, problems) {
        Some(Node { value: Value::Map(map), .. }) => Some(map),
        Some(node) if !node.is_null() => {
            problems.push(Problem::at(
                node.span,
                format!(
                    "expected a map with the keys `version` and `stages`, found {}",
                    node.describe()
                ),
            ));
            None
        }
        _ => {
            if problems.is_empty() {
                let message = format!("`{}` is empty", sources.path().display());
                problems.push(
                    Problem::of_file(message)
                        .hint("a pipeline starts with `version: 1` and lists its `stages`"),
                );
            }
            None
        }
    }
}

fn read_spec(
    sources: Arc<Sources>,
    Tree { map: tree, uses, secrets, raw }: Tree,
    overrides: &[Override],
    mut problems: Vec<Problem>,
) -> Draft {
    let path = sources.path().to_owned();
    for (key, entry) in &tree {
        if !KEYS.contains(&key.as_str()) {
            let hint = suggest::hint(key, "a pipeline file has", KEYS);
            problems.push(
                Problem::at(entry.key, format!("unknown key `{}`", super::yaml::node::clip(key)))
                    .maybe_hint(hint),
            );
        }
    }
    read_version(&tree, &mut problems);
    let seed = tree
        .get("seed")
        .and_then(|entry| typed::<u64>(&entry.node, entry.key, &mut problems).value)
        .unwrap_or(DEFAULT_SEED);
    if let Some(entry) = tree.get("resolved") {
        let _ = typed::<bool>(&entry.node, entry.key, &mut problems);
    }
    let name = read_name(&path, &tree, &mut problems);
    let params = read_params(&tree, &mut problems);
    let (stages, unsound) = read_stages(&tree, &mut problems);
    check_sweep(&tree, &mut problems);
    let sweep = tree.get("sweep").filter(|entry| !entry.node.is_null()).and_then(|entry| {
        let read = typed::<Sweep>(&entry.node, entry.key, &mut problems);
        read.value.filter(|_| read.sound)
    });
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let source = sources.text(Span::default()).to_owned();
    let (overrides, tree, uses) = (overrides.to_vec(), Arc::new(tree), Arc::new(uses));
    let raw = Arc::new(raw);
    let spec = Spec {
        path,
        folder,
        name,
        seed,
        params,
        stages,
        sweep,
        source,
        overrides,
        sources,
        tree,
        uses,
        secrets,
        raw,
    };
    Draft { spec, unsound, problems }
}

fn read_version(tree: &Map, problems: &mut Vec<Problem>) {
    let Some(entry) = tree.get("version") else {
        problems.push(
            Problem::at(start_of(tree), "missing key `version`")
                .hint(format!("add `version: {VERSION}`")),
        );
        return;
    };
    let read = typed::<u64>(&entry.node, entry.key, problems);
    if let Some(version) = read.value
        && read.sound
        && version != VERSION
    {
        problems.push(Problem::at(
            entry.node.span,
            format!("expected version {VERSION}, found {version}"),
        ));
    }
}

/// Returns the place for messages about missing keys of a file.
fn start_of(tree: &Map) -> Span {
    tree.first().map_or_else(Span::default, |(_, entry)| entry.key)
}

fn read_name(path: &Path, tree: &Map, problems: &mut Vec<Problem>) -> String {
    if let Some(entry) = tree.get("name").filter(|entry| !entry.node.is_null()) {
        let read = typed::<String>(&entry.node, entry.key, problems);
        let name = read.value.unwrap_or_default();
        if read.sound
            && let Err(why) = check_name(&name, true)
        {
            let shown = entry.node.secret_name().unwrap_or(&name);
            problems.push(Problem::at(
                entry.node.span,
                format!("`{}` is not a name: {why}", super::yaml::node::clip(shown)),
            ));
        }
        return name;
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if is_name_char(c, true) { c } else { '-' }).take(MAX_NAME).collect();
    if check_name(&name, true).is_ok() { name } else { UNNAMED.to_owned() }
}

/// The most characters; names and ids become parts of file names.
const MAX_NAME: usize = 64;

fn is_name_char(c: char, dots: bool) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || (dots && c == '.')
}

fn check_name(name: &str, dots: bool) -> Result<(), String> {
    if name.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some(c) = name.chars().find(|c| !is_name_char(*c, dots)) {
        let also = if dots { "`-`, `_` and `.`" } else { "`-` and `_`" };
        return Err(format!(
            "expected ASCII letters, digits, {also}, found `{}`",
            c.escape_debug()
        ));
    }
    if name.chars().all(|c| c == '.') {
        return Err("expected more than dots".to_owned());
    }
    let length = name.len();
    if length > MAX_NAME {
        return Err(format!("expected at most {MAX_NAME} characters, found {length}"));
    }
    Ok(())
}

fn read_params(tree: &Map, problems: &mut Vec<Problem>) -> IndexMap<String, Json> {
    let mut params = IndexMap::new();
    if let Some(entry) = tree.get("params") {
        match &entry.node.value {
            Value::Map(map) => flatten(map, "", &mut params, problems),
            Value::Broken => {}
            _ if entry.node.is_null() => {}
            _ => problems.push(Problem::at(
                entry.node.span,
                format!("expected a map of parameters, found {}", entry.node.describe()),
            )),
        }
    }
    params
}

fn flatten(
    map: &Map,
    prefix: &str,
    params: &mut IndexMap<String, Json>,
    problems: &mut Vec<Problem>,
) {
    for (key, entry) in map {
        if let Err(why) = check_name(key, false) {
            problems.push(Problem::at(
                entry.key,
                format!("`{}` is not a parameter's name: {why}", super::yaml::node::clip(key)),
            ));
        }
        let key = format!("{prefix}{key}");
        match &entry.node.value {
            // An empty map is a value, since it has no keys below it.
            Value::Map(inner) if !inner.is_empty() => {
                flatten(inner, &format!("{key}."), params, problems)
            }
            _ => {
                params.insert(key, entry.node.to_json());
            }
        }
    }
}

/// Refuses environment variables as values of a sweep: the values of a trial are its result, and
/// stand in every table.
fn check_sweep(tree: &Map, problems: &mut Vec<Problem>) {
    let below = |node: &'_ Node, name: &str| Some(node.as_map()?.get(name)?.node.clone());
    let swept = tree.get("sweep").and_then(|entry| below(&entry.node, "parameters"));
    for (_, parameter) in swept.iter().filter_map(Node::as_map).flatten() {
        for name in ["values", "when"] {
            let Some(node) = below(&parameter.node, name).filter(Node::holds_secret) else {
                continue;
            };
            let message = format!(
                "`{}` cannot be a value of a sweep, whose results name the values of each trial",
                super::yaml::node::clip(node.secret_name().unwrap_or_default())
            );
            problems.push(
                Problem::at(node.span, message)
                    .hint("write the value, or leave it out of the sweep"),
            );
        }
    }
}

fn read_stages(
    tree: &Map,
    problems: &mut Vec<Problem>,
) -> (IndexMap<StageId, StageConfig>, IndexSet<StageId>) {
    let mut stages = IndexMap::new();
    let mut unsound = IndexSet::new();
    let none = |span: Span| {
        Problem::at(span, "a pipeline needs at least one stage")
            .hint("a stage is an id and a kind: `data: { load: { path: texts.csv } }`")
    };
    match tree.get("stages") {
        None => problems.push(
            Problem::at(start_of(tree), "missing key `stages`")
                .hint("list the stages of the pipeline below `stages:`"),
        ),
        Some(Entry { key, node }) => match &node.value {
            Value::Broken => {}
            Value::Map(map) if map.is_empty() => problems.push(none(*key)),
            Value::Map(map) => {
                for (id, entry) in map {
                    if let Err(why) = check_name(id, false) {
                        problems.push(Problem::at(
                            entry.key,
                            format!("`{}` is not a stage's id: {why}", super::yaml::node::clip(id)),
                        ));
                    }
                    let id = StageId(id.clone());
                    let read = typed::<StageConfig>(&entry.node, entry.key, problems);
                    if !read.sound {
                        unsound.insert(id.clone());
                    }
                    if let Some(config) = read.value {
                        stages.insert(id, config);
                    }
                }
            }
            _ if node.is_null() => problems.push(none(*key)),
            _ => problems.push(Problem::at(
                node.span,
                format!("expected a map of stages, found {}", node.describe()),
            )),
        },
    }
    complete(&mut stages);
    (stages, unsound)
}

/// Lets every stage complete its configuration by its own defaults and by what others say.
fn complete(stages: &mut IndexMap<StageId, StageConfig>) {
    let others = stages.clone();
    for config in stages.values_mut() {
        config.stage_mut().complete(&|id| others.get(id).map(StageConfig::as_any));
    }
}
