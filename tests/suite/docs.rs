//! The documents hold: links lead somewhere, files that are named exist, commands and options are
//! the program's own, pipelines are sound.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use fs_err as fs;
use pipe::cli::args::Cli;

use super::project::{Project, TestError, repository};

/// What names in backquotes begin with that have to exist.
const FOLDERS: [&str; 7] =
    ["tests/", "pipelines/", "datasets/", "docs/", "benches/", "scripts/", ".ci/"];

/// A page of the repository, its path relative to the root.
pub struct Page {
    pub path: String,
    pub text: String,
}

impl Page {
    pub fn read(path: &str) -> Result<Page, TestError> {
        Ok(Page { path: path.to_owned(), text: fs::read_to_string(repository(path))? })
    }

    /// Returns every page of the repository.
    fn all() -> Result<Vec<Page>, TestError> {
        let mut pages = Vec::new();
        for folder in ["", "docs", "docs/design", "benches", "benches/gpu", "datasets"] {
            for entry in fs::read_dir(repository(folder))? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name.ends_with(".md") {
                    let path = Path::new(folder).join(name).to_string_lossy().into_owned();
                    pages.push(Page::read(&path)?);
                }
            }
        }
        pages.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(pages.len() >= 10, "only {} pages found", pages.len());
        Ok(pages)
    }

    /// Returns the blocks between fences, each with its language.
    pub fn fenced(&self) -> Vec<(String, String)> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let body: Vec<&str> =
                    lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
                blocks.push((language.to_owned(), body.join("\n") + "\n"));
            }
        }
        blocks
    }

    /// Returns the lines of indented blocks.
    pub fn indented(&self) -> Vec<&str> {
        self.unfenced().into_iter().filter_map(|line| line.strip_prefix("    ")).collect()
    }

    /// Returns the texts in backquotes.
    pub fn inline(&self) -> Vec<String> {
        let prose: Vec<&str> =
            self.unfenced().into_iter().filter(|line| !line.starts_with("    ")).collect();
        let prose = prose.join("\n");
        prose.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")).collect()
    }

    fn unfenced(&self) -> Vec<&str> {
        let mut is_fenced = false;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
            } else if !is_fenced {
                lines.push(line);
            }
        }
        lines
    }

    /// Returns the anchors of the headings, as GitHub makes them.
    fn anchors(&self) -> Vec<String> {
        let headings = self.unfenced().into_iter().filter(|line| line.starts_with('#'));
        let anchor = |heading: &str| {
            let kept = heading.trim_start_matches('#').trim().chars();
            let kept = kept.filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        headings.map(anchor).collect()
    }

    /// Returns where the links lead.
    fn links(&self) -> Vec<String> {
        let unfenced = self.unfenced().join("\n");
        let links = unfenced.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.map(|(link, _)| link.to_owned()).collect()
    }

    /// Returns the commands of `pipe`, in blocks first, each as its arguments.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let indented = self.indented().into_iter().map(str::to_owned);
        let commands = indented.chain(self.inline()).filter_map(|command| {
            let command = command.replace("cargo run --release -- ", "pipe ");
            Some(words(command.trim().strip_prefix("pipe ")?))
        });
        commands.collect()
    }
}

/// Splits a command as a shell does, up to a redirection.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in command.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            '>' | '|' | '#' if !is_quoted => break,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn links_lead_somewhere() -> Result<(), TestError> {
    let mut followed = 0;
    for page in Page::all()? {
        for link in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
            let path = if file.is_empty() { PathBuf::from(&page.path) } else { folder.join(file) };
            let path = path.to_string_lossy().into_owned();
            assert!(
                Path::new(&repository(&path)).exists(),
                "{} links to {link}, which does not exist",
                page.path
            );
            if !anchor.is_empty() {
                let has = Page::read(&path)?.anchors().iter().any(|known| known == anchor);
                assert!(has, "{} links to {link}, and there is no such heading", page.path);
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "only {followed} links");
    Ok(())
}

#[test]
fn no_two_headings_have_one_anchor() -> Result<(), TestError> {
    for page in Page::all()? {
        let mut seen = BTreeSet::new();
        for anchor in page.anchors() {
            assert!(seen.insert(anchor.clone()), "{}: two headings are `{anchor}`", page.path);
        }
    }
    Ok(())
}

#[test]
fn files_that_are_named_exist() -> Result<(), TestError> {
    let mut seen = 0;
    for page in Page::all()? {
        for name in page.inline() {
            let is_path = FOLDERS.iter().any(|folder| name.starts_with(folder));
            if is_path && !name.contains([' ', '*', '{', '<', '…']) {
                assert!(
                    Path::new(&repository(&name)).exists(),
                    "{} names `{name}`, which does not exist",
                    page.path
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "only {seen} names");
    Ok(())
}

/// The program takes every command of every page, but for words in capitals that stand for
/// something and arguments that are left out.
#[test]
fn commands_are_those_of_the_program() -> Result<(), TestError> {
    let mut seen = 0;
    for page in Page::all()? {
        for command in page.commands() {
            let arguments = std::iter::once("pipe").chain(command.iter().map(String::as_str));
            if let Err(error) = Cli::try_parse_from(arguments) {
                let is_left_out = [
                    ErrorKind::MissingRequiredArgument,
                    ErrorKind::DisplayHelp,
                    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                ];
                assert!(
                    is_left_out.contains(&error.kind()),
                    "{}: `pipe {}`: {error}",
                    page.path,
                    command.join(" ")
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands");
    Ok(())
}

/// Options that pages for users name in backquotes.
#[test]
fn options_are_those_of_the_program() -> Result<(), TestError> {
    let mut known: BTreeSet<String> = ["-h", "--help", "-V", "--version"].map(String::from).into();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        for argument in command.get_arguments() {
            known.extend(argument.get_short().map(|short| format!("-{short}")));
            known.extend(argument.get_long().map(|long| format!("--{long}")));
        }
        commands.extend(command.get_subcommands().cloned());
    }
    let mut seen = 0;
    for page in Page::all()? {
        let is_for_users = page.path == "README.md" || page.path.starts_with("docs/");
        for code in page.inline() {
            let option = code.split([' ', '=']).next().unwrap_or_default();
            if is_for_users && option.len() > 1 && option.starts_with('-') {
                assert!(known.contains(option), "{}: there is no option `{option}`", page.path);
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} options");
    Ok(())
}

#[test]
fn pipelines_in_pages_are_sound() -> Result<(), TestError> {
    let mut seen = 0;
    for page in Page::all()? {
        for (_, body) in page.fenced().into_iter().filter(|(language, _)| language == "yaml") {
            let project = Project::with(0, &body)?;
            let said = project.pipe(&["validate", "x.yaml"])?;
            assert_eq!(said.code, Some(0), "{}: {}", page.path, said.err);
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} pipelines");
    Ok(())
}
