//! What is shipped works: the pipelines, the file and the commands that the README shows, and the
//! commands of the other pages.

use fs_err as fs;

use super::docs::Page;
use super::project::{Project, Said, TestError, data, repository};

/// The pipeline files of the repository.
fn pipelines() -> Result<Vec<String>, TestError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository("pipelines"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(name.ends_with(".yaml").then_some(name));
    }
    found.sort();
    assert!(found.len() >= 3, "{found:?}");
    Ok(found)
}

/// The project has the pipelines and the data sets in the same places as the repository, and a
/// cache of its own.
fn copy() -> Result<Project, TestError> {
    let project = Project::new(0)?;
    for folder in ["pipelines", "datasets"] {
        fs::create_dir(project.path(folder))?;
        for entry in fs::read_dir(repository(folder))? {
            let entry = entry?;
            fs::copy(entry.path(), project.path(folder).join(entry.file_name()))?;
        }
    }
    Ok(project)
}

#[test]
fn every_pipeline_is_sound() -> Result<(), TestError> {
    let project = copy()?;
    for name in pipelines()? {
        let said = project.pipe(&["validate", &format!("pipelines/{name}")])?;
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
        assert!(!said.err.contains("warning"), "{name}: {}", said.err);
    }
    Ok(())
}

/// Overrides for a pipeline that make it run in a moment: a step or an epoch of each training, and
/// for the repository's data sets few texts.
fn reduced(command: &str, text: &str, model: Option<&str>) -> Vec<String> {
    let mut set = Vec::new();
    let mut stage = "";
    let by_steps = text.contains("budget:");
    if by_steps {
        set.push("params.steps=2".to_owned());
    }
    if command == "sweep" && text.contains("\nsweep:") {
        set.push("sweep.seeds=[13, 21]".to_owned());
    }
    if text.contains("\n  to: ") {
        set.push("params.to=3".to_owned());
    }
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("  ").filter(|id| !id.starts_with(' ')) {
            stage = id.split(':').next().unwrap_or(id);
        }
        let kind = line.trim();
        if kind.starts_with("train:") {
            // A probe takes no step, and a choice by folds has the steps of what it chooses from.
            let by_epochs = !by_steps
                && !kind.contains("probe:")
                && !kind.contains("auto:")
                && !kind.contains("self_training:");
            set.extend(by_epochs.then(|| format!("stages.{stage}.train.epochs=1")));
            set.push(format!("stages.{stage}.train.max_length=16"));
            set.extend(model.map(|model| format!("stages.{stage}.train.model.pretrained={model}")));
        } else if kind == "load:" {
            // Folds leave two texts of each class.
            let shots = if text.contains("self_training:") { 4 } else { 2 };
            set.push(format!("stages.{stage}.load.shots={shots}"));
            set.push(format!("stages.{stage}.load.dev_shots=2"));
            set.push(format!("stages.{stage}.load.split={{ test: 0.1, dev: 0.1 }}"));
        }
    }
    set
}

/// Every pipeline runs to its table, with few texts and one epoch.
#[test]
fn every_pipeline_runs() -> Result<(), TestError> {
    let project = copy()?;
    for name in pipelines()? {
        let file = format!("pipelines/{name}");
        let text = fs::read_to_string(project.path(&file))?;
        let evaluations = text.lines().filter(|line| line.contains("evaluate:")).count();
        let set = reduced("run", &text, None);
        let mut arguments = vec!["run", &file, "--csv"];
        for value in &set {
            arguments.extend(["-S", value]);
        }
        let said = project.pipe(&arguments)?;
        assert_eq!(said.code, Some(0), "{name}: {}", said.err);
        assert_eq!(said.out.lines().count(), 1 + evaluations, "{name}: {}", said.out);
        assert!(evaluations >= 2, "{name} compares recipes");
    }
    Ok(())
}

/// Every command of the README runs, one after the other as a reader would type them, on a tiny
/// model and few steps. What stands in its tables are columns that the commands print.
#[test]
fn the_readmes_commands_run() -> Result<(), TestError> {
    // The tests themselves, and what `.ci/run` builds.
    const NOT_OURS: [&str; 2] = ["cargo test --release", "cargo install --path ."];
    let page = Page::read("README.md")?;
    let project = copy()?;
    project.write("tickets.csv", &tickets())?;
    project.write("new.csv", "message\nthe bill is wrong again\n")?;
    let yaml: Vec<String> = page
        .fenced()
        .into_iter()
        .filter(|(language, _)| language == "yaml")
        .map(|(_, body)| body)
        .collect();
    assert_eq!(yaml.len(), 1);
    project.write("tickets.yaml", &yaml[0])?;
    for line in page.indented().into_iter().filter(|line| line.starts_with("cargo ")) {
        let is_known = NOT_OURS.contains(&line) || line.starts_with("cargo run --release -- ");
        assert!(is_known, "nothing runs `{line}`");
    }
    let mut printed = String::new();
    let mut seen = Vec::new();
    for mut arguments in page.commands() {
        let command = arguments.join(" ");
        seen.push(arguments[0].clone());
        if ["run", "sweep"].contains(&arguments[0].as_str()) {
            let text = fs::read_to_string(project.path(&arguments[1]))?;
            for value in reduced(&arguments[0], &text, Some(&data("tiny-bert"))) {
                arguments.extend(["-S".to_owned(), value]);
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = Said::new(project.command(&arguments).env("COLUMNS", "400").output()?);
        assert_eq!(said.code, Some(0), "`pipe {command}`: {}", said.err);
        printed += &said.out;
    }
    for wanted in ["run", "sweep", "compare", "predict", "report", "schema"] {
        assert!(seen.contains(&wanted.to_owned()), "{seen:?}");
    }
    let columns = |line: &str| -> Vec<String> {
        line.split(['│', '┆']).map(|column| column.trim().to_owned()).collect()
    };
    let headers: Vec<Vec<String>> = printed
        .lines()
        .filter(|line| line.starts_with("│ stage") || line.starts_with("│ recipe"))
        .map(columns)
        .collect();
    for line in page.indented() {
        if line.starts_with("│ stage") || line.starts_with("│ recipe") {
            let shown = columns(line);
            // Names of columns go on in brackets where there is room.
            let is_in = |header: &Vec<String>, name: &String| {
                header.iter().any(|one| one == name || one.starts_with(&format!("{name} (")))
            };
            let is_printed =
                headers.iter().any(|header| shown.iter().all(|name| is_in(header, name)));
            assert!(is_printed, "no table has the columns of {line}: {headers:?}");
        }
    }
    Ok(())
}

/// Texts for two teams, enough of them for the largest draw of the README.
fn tickets() -> String {
    let mut rows = "message,team\n".to_owned();
    for index in 0..60 {
        rows += &format!("the bill {index} is wrong,billing\nit was never open {index},support\n");
    }
    rows
}

/// Commands of the other pages run dry, where the pipelines that they name are there.
#[test]
fn the_pages_commands_run_dry() -> Result<(), TestError> {
    let project = copy()?;
    for name in ["train.csv", "test.csv"] {
        let name = format!("pipelines/{name}");
        project.write(&name, &format!("text,label\n{name} a,x\n{name} b,y\n"))?;
    }
    let mut seen = 0;
    for name in [
        "docs/sweeps.md",
        "docs/augmentation.md",
        "docs/gpu.md",
        "docs/training-api.md",
        "docs/few-labels.md",
    ] {
        for mut arguments in Page::read(name)?.commands() {
            let command = arguments.join(" ");
            let is_there = |file: &String| file.ends_with(".yaml") && project.path(file).exists();
            if !arguments.get(1).is_some_and(is_there) || arguments[0] == "artifacts" {
                continue;
            }
            arguments.push("-n".to_owned());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = project.pipe(&arguments)?;
            assert_eq!(said.code, Some(0), "{name}: `pipe {command}`: {}", said.err);
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} commands");
    Ok(())
}
