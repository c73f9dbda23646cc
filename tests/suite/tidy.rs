//! The shape of the source: stairs go down only, files form no circles, heavy crates stay with
//! their owners, files say what they are, lines end at column 100.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::Visit;

/// The layers, top first, and the layers that each may use.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "report", "runner", "dag", "pipeline", "predict", "stages", "selftest", "engine",
            "search", "results", "metrics", "data", "base",
        ],
    ),
    ("report", &["runner", "search", "results", "metrics", "statistics", "data", "base"]),
    (
        "runner",
        &[
            "dag",
            "pipeline",
            "stages",
            // The tests of the cache write weights.
            "model",
            "engine",
            "search",
            "results",
            "metrics",
            "statistics",
            "data",
            "base",
        ],
    ),
    ("dag", &["pipeline", "stages", "search"]),
    ("pipeline", &["stages", "search", "base"]),
    ("predict", &["stages", "model", "engine", "metrics", "data", "base"]),
    ("stages", &["model", "engine", "text", "classifiers", "metrics", "data", "base"]),
    ("selftest", &["model", "engine", "base"]),
    ("model", &["engine", "text", "base"]),
    ("engine", &["base"]),
    ("search", &["base"]),
    ("text", &["base"]),
    ("classifiers", &["base"]),
    ("results", &["metrics", "statistics", "data", "base"]),
    ("metrics", &["base"]),
    ("statistics", &["base"]),
    ("data", &["base"]),
    ("base", &[]),
];

/// The rooms of layers whose order matters, lowest first: a room uses none that comes after it.
const ROOMS: &[(&str, &[&str])] = &[
    ("engine", &["graph", "onnx", "kernel", "runtime", "backend", "samples"]),
    ("pipeline", &["problem", "yaml", "resolve", "typing"]),
    ("runner", &["cache", "record", "run", "sweep"]),
    ("report", &["content", "chart"]),
];

/// The circles of files that are meant: an operator rewrites the graph that it is part of, and a
/// method of augmentation may hold methods.
const CIRCLES: &[(&str, &str)] = &[
    ("engine/graph/graph.rs", "engine/graph/op/"),
    ("stages/augment/config.rs", "stages/augment/methods/"),
];

/// Where a crate may be named, as prefixes of paths under src. The others may be named everywhere.
const OWNERS: &[(&str, &[&str])] = &[
    ("blake3", &["base/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("comfy_table", &["results/format/"]),
    ("ctrlc", &["cli/"]),
    ("encoding_rs", &["stages/augment/synonyms/openoffice.rs", "data/source/"]),
    ("flate2", &["data/source/"]),
    ("flatbuffers", &["engine/backend/training_api/checkpoint.rs"]),
    ("half", &["model/", "data/source/"]),
    // All texts of bars pass one door.
    ("indicatif", &["cli/bar.rs", "cli/printer.rs"]),
    ("jiff", &["base/clock.rs", "runner/"]),
    ("libc", &["cli/signals.rs"]),
    ("libloading", &["engine/runtime/"]),
    ("maud", &["report/"]),
    ("nalgebra", &["search/", "stages/augment/growth/quality/"]),
    (
        "ort",
        &[
            "engine/kernel/",
            "engine/runtime/",
            "engine/backend/",
            "engine/samples/",
            "engine/tests/",
        ],
    ),
    ("petgraph", &["dag/"]),
    ("polars", &["data/", "results/"]),
    ("polars_parquet", &["data/source/parquet.rs", "data/stored.rs", "data/unpacked.rs"]),
    ("prost", &["engine/onnx/", "engine/backend/training_api/", "engine/tests/", "text/files/"]),
    ("pytorch_reader", &["model/weights/pickled.rs"]),
    (
        "rand",
        &[
            "base/seed.rs",
            "classifiers/",
            "engine/",
            "model/",
            "results/",
            "search/",
            "selftest/",
            "stages/",
            "statistics/",
            "text/",
        ],
    ),
    ("rand_chacha", &["base/seed.rs", "search/", "stages/augment/"]),
    ("rayon", &["runner/", "stages/augment/", "text/"]),
    ("rustix", &["base/program.rs", "stages/augment/methods/program.rs"]),
    // Checkpoints hold tensors too, and are the business of `train` alone.
    ("safetensors", &["model/", "stages/train/loop/checkpoint.rs"]),
    // The JSON Schema is derived where a configuration is declared; the head is part of one.
    (
        "schemars",
        &[
            "pipeline/",
            "search/config/",
            "stages/",
            "data/split.rs",
            "data/source/settings.rs",
            "model/head.rs",
            "model/adapters/targets.rs",
            "model/sentences/prompt.rs",
            "text/windows.rs",
            "engine/runtime/device.rs",
        ],
    ),
    ("serde_yaml", &["pipeline/"]),
    ("sha2", &["base/", "model/source/hub/"]),
    ("similar", &["cli/"]),
    ("sobol_burley", &["search/"]),
    ("statrs", &["search/", "statistics/"]),
    ("stop_words", &["stages/augment/language/stop_words.rs"]),
    ("strsim", &["pipeline/", "data/"]),
    ("terminal_size", &["cli/"]),
    ("tokenizers", &["text/"]),
    ("unicode_normalization", &["base/label.rs", "data/", "stages/augment/language/words.rs"]),
    ("unicode_segmentation", &["stages/augment/", "cli/"]),
    ("ureq", &["model/source/hub/"]),
    ("zip", &["base/wheel.rs", "model/source/package.rs"]),
    ("zstd", &["data/source/"]),
];

/// The most lines of a file. Above it there is a seam to be found.
const MOST_LINES: usize = 600;
/// The most columns of a line, literals that span several lines aside.
const MOST_COLUMNS: usize = 100;

/// A file: its path under src, its module, and the paths that it names as lists of words.
struct File {
    path: String,
    module: Vec<String>,
    /// Paths in the program proper, and in its tests.
    paths: Vec<(Vec<String>, bool)>,
    /// What its `pub use` lines hand on: the name, and where it comes from.
    handed_on: Vec<(String, Vec<String>)>,
}

/// Collects the paths of a file, also within macros.
#[derive(Default)]
struct Paths {
    /// The module that the walk is in; the file's own, and those inside it.
    module: Vec<String>,
    in_tests: bool,
    found: Vec<(Vec<String>, bool)>,
    handed_on: Vec<(String, Vec<String>)>,
}

impl Paths {
    /// Adds a path; `super` and `self` are resolved, other paths begin with a crate or a name that
    /// is in scope.
    fn add(&mut self, words: &[String]) -> Vec<String> {
        let mut absolute = words.to_vec();
        if let Some(first) = words.first()
            && ["super", "self", "crate"].contains(&first.as_str())
        {
            let mut at = if first == "crate" { Vec::new() } else { self.module.clone() };
            let is_relative = |word: &&String| ["super", "self", "crate"].contains(&word.as_str());
            let climbs = words.iter().take_while(is_relative).filter(|word| *word == "super");
            at.truncate(at.len().saturating_sub(climbs.count()));
            let rest = words.iter().skip_while(is_relative).cloned().collect();
            absolute = [vec!["crate".to_owned()], at, rest].concat();
        }
        self.found.push((absolute.clone(), self.in_tests));
        absolute
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &[String], hands_on: bool) {
        let with = |name: &syn::Ident| [before, &[name.unraw().to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident), hands_on),
            syn::UseTree::Name(name) => self.used(&with(&name.ident), &name.ident, hands_on),
            syn::UseTree::Rename(name) => self.used(&with(&name.ident), &name.rename, hands_on),
            syn::UseTree::Glob(_) => _ = self.add(before),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, before, hands_on));
            }
        }
    }

    fn used(&mut self, path: &[String], name: &syn::Ident, hands_on: bool) {
        let path = path.strip_suffix(&["self".to_owned()]).unwrap_or(path);
        let mut absolute = self.add(path);
        if hands_on {
            if absolute.first().is_none_or(|first| first != "crate") {
                absolute = [vec!["crate".to_owned()], self.module.clone(), absolute].concat();
            }
            self.handed_on.push((name.to_string(), absolute));
        }
    }

    /// Adds the paths of tokens that no parser knows: those of a macro's body.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(word.unraw().to_string());
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.end(&mut path);
                    colons = 0;
                }
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add(path);
        }
        path.clear();
    }
}

/// Says whether an item is compiled for tests alone.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
        }
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let was = self.in_tests;
        self.in_tests |= is_test(&item.attrs);
        self.use_tree(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
        self.in_tests = was;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            return;
        }
        let was = self.in_tests;
        self.in_tests |= is_test(&item.attrs);
        self.module.push(item.ident.unraw().to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
        self.in_tests = was;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let words: Vec<String> =
                path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            self.add(&words);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        syn::visit::visit_macro(self, item);
        self.tokens(item.tokens.clone());
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.tokens(item.mac.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        syn::visit::visit_attribute(self, attribute);
    }
}

/// Returns the module of a file by its path under src.
fn module(path: &str) -> Vec<String> {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    module.split('/').filter(|name| *name != "lib").map(str::to_owned).collect()
}

fn parse(path: &str, source: &str) -> Result<File, String> {
    let tree = syn::parse_file(source).map_err(|error| format!("src/{path}: {error}"))?;
    let module = module(path);
    let is_for_tests = path.contains("/tests/")
        || path.ends_with("tests.rs")
        || path.ends_with("testing.rs")
        || path.ends_with("test_ctx.rs");
    let mut paths = Paths { module: module.clone(), in_tests: is_for_tests, ..Paths::default() };
    paths.visit_file(&tree);
    Ok(File { path: path.to_owned(), module, paths: paths.found, handed_on: paths.handed_on })
}

/// All files by module.
struct House(BTreeMap<Vec<String>, File>);

impl House {
    /// Returns the file that a path ends in, through what modules hand on.
    fn file_of(&self, path: &[String]) -> Option<&File> {
        let mut path = path.strip_prefix(&["crate".to_owned()])?.to_vec();
        for _ in 0..8 {
            let depth = (1..=path.len()).rev().find(|&n| self.0.contains_key(&path[..n]))?;
            let file = self.0.get(&path[..depth])?;
            let handed = path.get(depth).and_then(|name| {
                file.handed_on.iter().find(|(known, _)| known == name).map(|(_, from)| from)
            });
            match handed {
                Some(from) => path = [&from[1..], &path[depth + 1..]].concat(),
                None => return Some(file),
            }
        }
        None
    }

    /// Returns every breach of the stairs and every circle of files.
    fn breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut graph = DiGraphMap::<&str, ()>::new();
        for file in self.0.values() {
            let layer = file.module.first().map_or("", String::as_str);
            for (path, in_tests) in &file.paths {
                let Some(other) = self.file_of(path) else { continue };
                if other.path == file.path {
                    continue;
                }
                let other_layer = other.module.first().map_or("", String::as_str);
                if other_layer != layer {
                    let may = LAYERS.iter().find(|(name, _)| *name == layer);
                    if may.is_some_and(|(_, may)| !may.contains(&other_layer)) {
                        breaches.push(format!(
                            "src/{}: `{layer}` may not use `{other_layer}` ({})",
                            file.path,
                            path.join("::")
                        ));
                    }
                    continue;
                }
                // Tests may look at everything in their own layer; parents and children are one.
                let related = other.module.starts_with(&file.module)
                    || file.module.starts_with(&other.module);
                if *in_tests || related {
                    continue;
                }
                graph.add_edge(file.path.as_str(), other.path.as_str(), ());
                let rooms = ROOMS.iter().find(|(name, _)| *name == layer);
                let place = |file: &File| {
                    let room = file.module.get(1)?;
                    rooms.and_then(|(_, rooms)| rooms.iter().position(|name| name == room))
                };
                if let (Some(own), Some(others)) = (place(file), place(other))
                    && others > own
                {
                    breaches.push(format!(
                        "src/{}: uses src/{}, which is in a room above",
                        file.path, other.path
                    ));
                }
            }
            // What programs use stands at the top of the library.
            let to_users = file.path == "lib.rs";
            for (name, from) in file.handed_on.iter().filter(|_| !to_users) {
                if from.get(1).is_some_and(|other| {
                    other != layer && LAYERS.iter().any(|(layer, _)| layer == other)
                }) {
                    breaches.push(format!(
                        "src/{}: hands on `{name}` of another layer ({})",
                        file.path,
                        from.join("::")
                    ));
                }
            }
        }
        for circle in kosaraju_scc(&graph) {
            let lawful = CIRCLES.iter().any(|(file, folder)| {
                circle.iter().all(|path| path == file || path.starts_with(folder))
            });
            if circle.len() > 1 && !lawful {
                let mut circle = circle;
                circle.sort_unstable();
                breaches.push(format!("a circle of files: {}", circle.join(", ")));
            }
        }
        breaches.sort();
        breaches.dedup();
        breaches
    }
}

/// Returns the lines that literals of several lines cover: snapshots and pages are as wide as they
/// are.
fn covered(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => covered(group.stream(), lines),
            TokenTree::Literal(literal) => {
                let (start, end) = (literal.span().start().line, literal.span().end().line);
                if end > start {
                    lines.extend(start..=end);
                }
            }
            _ => {}
        }
    }
}

fn wide_lines(source: &str) -> Vec<usize> {
    let mut spared = BTreeSet::new();
    if let Ok(tokens) = source.parse::<TokenStream>() {
        covered(tokens, &mut spared);
    }
    let lines = source.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines
        .filter(|(number, line)| line.chars().count() > MOST_COLUMNS && !spared.contains(number))
        .map(|(number, _)| number)
        .collect()
}

/// Returns the breaches of one file under src that concern nothing but itself.
fn own_breaches(file: &File, source: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if !source.starts_with("//! ") {
        breaches.push("does not begin with a `//!` line that says what it is".to_owned());
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        breaches.push(format!("has {lines} lines, expected at most {MOST_LINES}"));
    }
    for (name, owners) in OWNERS {
        let named = file.paths.iter().any(|(path, _)| path.first().is_some_and(|at| at == name));
        if named && !owners.iter().any(|owner| file.path.starts_with(owner)) {
            breaches.push(format!("uses `{name}`, which belongs to {}", owners.join(" and ")));
        }
    }
    breaches
}

/// Returns the sources below a folder by their paths relative to it.
fn sources(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
                found.push((name.replace('\\', "/"), fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_source_keeps_its_shape() -> Result<(), Box<dyn std::error::Error>> {
    let sources = sources(&root().join("src"))?;
    assert!(sources.len() > 100, "only {} files found", sources.len());
    let (mut files, mut found) = (BTreeMap::new(), Vec::new());
    for (path, source) in &sources {
        let file = parse(path, source)?;
        found.extend(own_breaches(&file, source).iter().map(|it| format!("src/{path}: {it}")));
        files.insert(file.module.clone(), file);
    }
    found.extend(House(files).breaches());
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn lines_end_at_column_100() -> std::io::Result<()> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (path, source) in sources(&root().join(folder))? {
            let wide = wide_lines(&source);
            found.extend(wide.iter().map(|line| format!("{folder}/{path}:{line}")));
        }
    }
    assert!(found.is_empty(), "wider than {MOST_COLUMNS} columns:\n{}", found.join("\n"));
    Ok(())
}

/// The library's own list of modules is the one that is checked here.
#[test]
fn every_layer_is_listed() -> std::io::Result<()> {
    let library = fs::read_to_string(root().join("src/lib.rs"))?;
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let layers: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(modules, layers);
    Ok(())
}

#[test]
fn every_kind_of_breach_is_found() -> Result<(), String> {
    let house = |files: &[(&str, &str)]| -> Result<String, String> {
        let mut all = BTreeMap::new();
        for (path, source) in files {
            let file = parse(path, source)?;
            all.insert(file.module.clone(), file);
        }
        Ok(House(all).breaches().join("; "))
    };
    let model = ("model/mod.rs", "pub mod head; pub use head::Head;");
    let head = ("model/head.rs", "pub struct Head;");
    let up = |path: &str, source: &str| house(&[(path, source), model, head]);
    for source in [
        "use crate::model::Head;",
        "use crate::{base::digest, model::{head, Head}};",
        "fn x() { crate::model::f() }",
        "use super::super::model::Head;",
        "fn x() { html! { @if crate::model::f() { p {} } } }",
        "mod tests { use super::super::super::model::Head; }",
        "let_it!(crate::model::Head);",
    ] {
        let found = up("engine/onnx.rs", source)?;
        assert!(found.contains("`engine` may not use `model`"), "{source}: {found}");
    }
    for source in [
        "// crate::model::Head\nfn x() { let x = \"crate::model\"; }",
        "use super::model::Head;",
        "use crate::engine::model;",
    ] {
        assert_eq!(up("engine/onnx.rs", source)?, "", "{source}");
    }
    let circle = house(&[
        ("data/mod.rs", "pub mod a; pub mod b; pub use b::B;"),
        ("data/a.rs", "use super::B;"),
        ("data/b.rs", "use super::a::A;"),
    ])?;
    assert_eq!(circle, "a circle of files: data/a.rs, data/b.rs");
    let in_tests = house(&[
        ("data/a.rs", "use super::b::B;"),
        ("data/b.rs", "#[cfg(test)] mod tests { use super::super::a::A; }"),
    ])?;
    assert_eq!(in_tests, "");
    let handed = house(&[("stages/x.rs", "pub use crate::model::head::Head;"), model, head])?;
    assert!(handed.contains("hands on `Head` of another layer"), "{handed}");
    let above = house(&[
        ("engine/graph/a.rs", "use crate::engine::backend::b::B;"),
        ("engine/backend/b.rs", ""),
    ])?;
    assert!(above.contains("which is in a room above"), "{above}");

    let own = |path: &str, source: &str| {
        parse(path, source).map(|file| own_breaches(&file, source).join("; "))
    };
    let owner = "uses `maud`, which belongs to report/";
    assert_eq!(own("cli/x.rs", "//! A file.\nuse maud::html;\n")?, owner);
    assert_eq!(own("cli/x.rs", "//! A file.\nuse maud;\n")?, owner);
    assert_eq!(own("cli/x.rs", "//! A file.\nfn f() { maud::html! {} }\n")?, owner);
    assert_eq!(own("cli/x.rs", "//! A file.\nuse crate::base::maud::Progress;\n")?, "");
    assert!(own("cli/x.rs", "use x;\n")?.contains("does not begin with"));
    let long = format!("//! A file.\n{}", "\n".repeat(MOST_LINES));
    assert_eq!(own("cli/x.rs", &long)?, "has 601 lines, expected at most 600");
    let wide = "x".repeat(MOST_COLUMNS + 1);
    assert_eq!(wide_lines(&format!("//! A file.\n// {wide}\nfn f() {{\n r\"\n{wide}\";\n}}")), [2]);
    Ok(())
}
