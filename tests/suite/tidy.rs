//! The shape of the source: stairs go down only, heavy crates stay with their owners, files say
//! what they are.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// The layers, top first. A module uses its own layer and those below.
const LAYERS: [&str; 12] = [
    "cli", "runner", "dag", "spec", "stages", "selftest", "model", "engine", "search", "text",
    "table", "base",
];

/// Layers that stand beside the stairs: who may use them.
const ASIDE: [(&str, &[&str]); 3] = [
    ("search", &["spec", "dag", "runner", "cli"]),
    ("text", &["stages", "runner", "cli"]),
    ("table", &["stages", "runner", "cli"]),
];

/// Where a crate may be named: prefixes of paths under src. A crate that is not listed may be named
/// everywhere.
const OWNERS: [(&str, &[&str]); 37] = [
    ("anyhow", &["cli/"]),
    ("blake3", &["base/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("comfy_table", &["table/format/"]),
    ("ctrlc", &["cli/"]),
    ("flatbuffers", &["engine/checkpoint.rs"]),
    ("encoding_rs", &["stages/augment/synonyms/openoffice.rs"]),
    ("fs4", &["base/"]),
    ("half", &["model/"]),
    ("indicatif", &["cli/"]),
    ("jiff", &["base/clock.rs", "runner/"]),
    ("libloading", &["engine/"]),
    ("maud", &["cli/report/"]),
    ("nalgebra", &["search/", "stages/augment/quality/"]),
    ("ort", &["engine/"]),
    ("petgraph", &["dag.rs"]),
    ("polars", &["table/"]),
    ("prost", &["engine/"]),
    ("rand_chacha", &["base/seed.rs", "search/", "stages/augment/"]),
    ("rayon", &["runner/", "stages/augment/", "text/"]),
    ("rustix", &["stages/augment/program.rs"]),
    // Checkpoints hold tensors too, and are the business of `train` alone.
    ("safetensors", &["model/", "stages/train/checkpoint.rs"]),
    // The JSON Schema is derived where a configuration is declared; the head is part of one.
    (
        "schemars",
        &[
            "spec/",
            "search/config/",
            "stages/",
            "model/head.rs",
            "engine/device.rs",
            "engine/precision.rs",
        ],
    ),
    ("serde_yaml", &["spec/"]),
    ("sha2", &["base/"]),
    ("similar", &["cli/"]),
    ("sobol_burley", &["search/"]),
    ("statrs", &["search/", "table/statistics/"]),
    ("stop_words", &["stages/augment/stop_words.rs"]),
    ("strsim", &["spec/", "table/", "cli/"]),
    ("terminal_size", &["cli/"]),
    ("tokenizers", &["text/"]),
    ("unicode_normalization", &["table/", "stages/augment/words.rs"]),
    ("unicode_segmentation", &["stages/augment/", "cli/"]),
    ("ureq", &["model/hub/"]),
    ("zip", &["base/wheel.rs", "model/package.rs"]),
];

/// The most lines of a file. Above it there is a seam to be found.
const MOST_LINES: usize = 600;

/// Texts that no file holds outside comments and string literals, as tokens, and why.
const BANNED: [(&[&str], &str); 5] = [
    (&["println", "!"], "only the printer writes to stdout"),
    (&["dbg", "!"], "left over from debugging"),
    (&["std", "::", "fs"], "fs-err names the path in its errors"),
    (&["#", "[", "allow"], "`expect` with a reason notices when it is needed no longer"),
    (&["todo", "!"], "nothing is left to be done"),
];

/// What may stand nevertheless: the file, the text, and what follows it.
const EXEMPT: [(&str, &str, &str); 3] = [
    // fs-err has no types of its own for these.
    ("base/files.rs", "std::fs", "Permissions"),
    ("runner/lock.rs", "std::fs", "TryLockError"),
    // In a macro: only some of the functions that it makes have many arguments, and `expect` fails
    // for the others.
    ("engine/kernel/simd.rs", "#[allow", "too_many_arguments"),
];

/// Splits Rust source into words and signs, without comments, literals and blanks.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            while i < chars.len() && !(at(i) == '*' && at(i + 1) == '/') {
                i += 1;
            }
            i += 2;
        } else if let Some(hashes) = raw_string(&chars[i..]) {
            let end: Vec<char> =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            while at(i) != '"' {
                i += 1;
            }
            i += 1;
            while i < chars.len() && !chars[i..].starts_with(&end) {
                i += 1;
            }
            i += end.len();
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if is_word(c) {
            let start = i;
            while is_word(at(i)) {
                i += 1;
            }
            tokens.push(chars[start..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// Returns the number of `#` of a raw string that begins here.
fn raw_string(chars: &[char]) -> Option<usize> {
    let rest = match chars {
        ['b', 'r', rest @ ..] | ['r', rest @ ..] => rest,
        _ => return None,
    };
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some(hashes)
}

/// Returns the modules of the crate's root that tokens name by `crate::` or by `super::` from a
/// depth of modules.
fn root_modules(tokens: &[String], depth: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let mut next = i;
        if tokens[i] == "crate"
            || (tokens[i] == "pipe" && tokens.get(i + 1).is_some_and(|token| token == "::"))
        {
            next += 1;
        } else {
            let mut climbed = 0;
            while tokens[next..].starts_with(&["super".to_owned(), "::".to_owned()]) {
                (next, climbed) = (next + 2, climbed + 1);
            }
            if climbed < depth || climbed == 0 {
                i += 1;
                continue;
            }
            next -= 1;
        }
        if tokens.get(next).is_none_or(|token| token != "::") {
            i = next.max(i + 1);
            continue;
        }
        next += 1;
        if tokens.get(next).is_some_and(|token| token == "{") {
            let mut level = 0;
            while let Some(token) = tokens.get(next) {
                match token.as_str() {
                    "{" => level += 1,
                    "}" => level -= 1,
                    word if level == 1 && matches!(tokens[next - 1].as_str(), "{" | ",") => {
                        found.push(word)
                    }
                    _ => {}
                }
                next += 1;
                if level == 0 {
                    break;
                }
            }
        } else if let Some(token) = tokens.get(next) {
            found.push(token);
        }
        i = next;
    }
    found
}

/// Returns every breach of one file; `path` is relative to src.
fn breaches(path: &str, source: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if !source.starts_with("//! ") {
        breaches.push("does not begin with a `//!` line that says what it is".to_owned());
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        breaches.push(format!("has {lines} lines, expected at most {MOST_LINES}"));
    }
    let tokens = tokens(source);
    for (banned, reason) in BANNED {
        let text = banned.concat();
        let exempt = |after: &[String]| {
            let after = &after[..after.len().min(5)];
            EXEMPT.iter().any(|(file, what, next)| {
                *file == path && *what == text && after.iter().any(|token| token == next)
            })
        };
        let mut places =
            (0..tokens.len()).filter(|&i| tokens[i..].iter().take(banned.len()).eq(banned.iter()));
        if places.any(|i| !exempt(&tokens[i + banned.len()..])) {
            breaches.push(format!("has `{text}`: {reason}"));
        }
    }
    for (name, owners) in OWNERS {
        let named = tokens.windows(2).enumerate().any(|(i, window)| {
            let alone = i == 0 || !matches!(tokens[i - 1].as_str(), "::" | ".");
            let used = i > 0 && tokens[i - 1] == "use" && matches!(window[1].as_str(), ";" | "as");
            alone && window[0] == name && (window[1] == "::" || used)
        });
        if named && !owners.iter().any(|owner| path.starts_with(owner)) {
            breaches.push(format!("uses `{name}`, which belongs to {}", owners.join(" and ")));
        }
    }
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let layer = module.split('/').next().unwrap_or(module);
    let Some(own) = LAYERS.iter().position(|name| *name == layer) else { return breaches };
    for other in root_modules(&tokens, module.split('/').count()) {
        let Some(place) = LAYERS.iter().position(|name| *name == other) else { continue };
        let invited = ASIDE
            .iter()
            .find(|(name, _)| *name == other)
            .is_none_or(|(_, users)| users.contains(&layer));
        let goes_out = ASIDE.iter().any(|(name, _)| *name == layer) && other != "base";
        if other != layer && (place < own || !invited || goes_out) {
            breaches.push(format!("`{layer}` uses `{other}`, which does not stand below it"));
        }
    }
    breaches.dedup();
    breaches
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn the_source_keeps_its_shape() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files)?;
    files.sort();
    assert!(files.len() > 100, "only {} files found", files.len());
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).map_or_else(|_| file.clone(), Path::to_path_buf);
        let path = path.to_string_lossy().replace('\\', "/");
        let source = fs::read_to_string(&file)?;
        found.extend(
            breaches(&path, &source).into_iter().map(|breach| format!("src/{path}: {breach}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// The library's own list of modules is the one that is checked here.
#[test]
fn every_layer_is_listed() -> std::io::Result<()> {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))?;
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(modules, LAYERS);
    Ok(())
}

#[test]
fn every_kind_of_breach_is_found() {
    let breach =
        |path: &str, body: &str| breaches(path, &format!("//! A file.\n{body}\n")).join("; ");
    let up = "`engine` uses `model`, which does not stand below it";
    assert_eq!(breach("engine/op/mod.rs", "use crate::model::Config;"), up);
    assert_eq!(breach("engine/op/mod.rs", "use crate::{base::digest, model::{Config, Head}};"), up);
    assert_eq!(breach("engine/op/mod.rs", "fn x() { crate::model::f() }"), up);
    assert_eq!(breach("engine/op/gather.rs", "use super::super::super::model::Config;"), up);
    assert_eq!(breach("engine/op/gather.rs", "use super::super::model::Config;"), "");
    assert_eq!(
        breach(
            "engine/op/mod.rs",
            "// crate::model::Config\nlet x = \"crate::model\"; let y = r#\"crate::model\"#;"
        ),
        ""
    );
    assert_eq!(breach("engine/op/mod.rs", "use crate::base::seed; let model = 1;"), "");
    assert_eq!(breach("engine/x.rs", "let c = '\"'; use crate::model::Config; let d = '\"';"), up);
    assert_eq!(
        breach("text/x.rs", "use crate::table::Curves;"),
        "`text` uses `table`, which does not stand below it"
    );
    assert_eq!(
        breach("model/x.rs", "use crate::text::Batch;"),
        "`model` uses `text`, which does not stand below it"
    );
    assert_eq!(breach("stages/x.rs", "use crate::text::Batch; use crate::table::Curves;"), "");
    assert_eq!(
        breach("cli/x.rs", "use polars::prelude::*;"),
        "uses `polars`, which belongs to table/"
    );
    assert_eq!(breach("cli/x.rs", "use ort;"), "uses `ort`, which belongs to engine/");
    assert_eq!(
        breach("cli/x.rs", "use crate::base::report::Progress; let x = a.half::<u8>();"),
        ""
    );
    assert_eq!(
        breach("cli/x.rs", "println!(\"x\");"),
        "has `println!`: only the printer writes to stdout"
    );
    assert_eq!(breach("cli/x.rs", "let text = \"println!\";"), "");
    assert_eq!(
        breach("cli/x.rs", "use std::fs::File;"),
        "has `std::fs`: fs-err names the path in its errors"
    );
    assert_eq!(breaches("cli/x.rs", "use x;\n").len(), 1);
    assert_eq!(
        breach("cli/x.rs", &"\n".repeat(MOST_LINES - 1)),
        "has 601 lines, expected at most 600"
    );
}
