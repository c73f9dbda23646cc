//! The pipelines and the README that users start from, on small settings.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use pipe::table::ResultTable;

type Checked<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A project with the pipelines and data sets of the repository, and a cache of its own.
fn project() -> Checked<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join(".pipe"))?;
    for part in ["pipelines", "datasets"] {
        fs::create_dir(folder.path().join(part))?;
        for entry in fs::read_dir(root().join(part))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.path().join(part).join(entry.file_name()))?;
        }
    }
    Ok(folder)
}

fn pipe(folder: &Path, arguments: &[&str]) -> Checked<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_pipe")).args(arguments).current_dir(folder).output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("pipe {}: {said}", arguments.join(" ")).into())
    }
}

fn files() -> Checked<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("pipelines"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[test]
fn every_pipeline_runs_on_small_settings() -> Checked {
    let folder = project()?;
    for file in files()? {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
        let path = format!("pipelines/{name}");
        let text = fs::read_to_string(&file)?;
        let mut arguments = vec!["run".to_owned(), path];
        let mut stage = "";
        for line in text.lines() {
            if line.starts_with("  ") && !line.starts_with("   ") {
                stage = line.trim().trim_end_matches(':');
            }
            if line.trim() == "train:" {
                for setting in ["epochs=1", "max_length=16"] {
                    arguments.extend(["-S".to_owned(), format!("stages.{stage}.train.{setting}")]);
                }
            }
            if line.trim() == "load:" {
                arguments.extend(["-S".to_owned(), format!("stages.{stage}.load.shots=2")]);
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        pipe(folder.path(), &arguments)?;
        let rows = ResultTable::read(&folder.path().join("runs/latest"))?.rows;
        assert!(rows.len() >= 2, "{name}");
    }
    Ok(())
}

#[test]
fn a_pretrained_encoder_beats_the_majority_class() -> Checked {
    let folder = project()?;
    // Twenty classes: the majority has one text in twenty.
    pipe(
        folder.path(),
        &["run", "pipelines/quickstart.yaml", "--until", "plain_score", "-S", "stages.plain.train.epochs=3"],
    )?;
    let rows = ResultTable::read(&folder.path().join("runs/latest"))?.rows;
    assert!(rows[0].metrics["accuracy"] > 0.4, "{:?}", rows[0].metrics["accuracy"]);
    Ok(())
}

#[test]
fn the_readme_tells_no_tales() -> Checked {
    let readme = fs::read_to_string(root().join("README.md"))?;
    let folder = tempfile::tempdir()?;
    let example =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).ok_or("no example")?;
    fs::write(folder.path().join("tickets.yaml"), example)?;
    fs::write(folder.path().join("tickets.csv"), "message,team\na,b\n")?;
    pipe(folder.path(), &["validate", "tickets.yaml"])?;
    let mut commands = 0;
    for line in readme.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(arguments) =
            line.strip_prefix("pipe ").or_else(|| line.strip_prefix("cargo run --release -- "))
        {
            let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
            // A dry run reads the same flags and file and computes nothing.
            arguments.push("--dry-run");
            let folder = if arguments.contains(&"tickets.yaml") { folder.path() } else { root() };
            pipe(folder, &arguments)?;
            commands += 1;
        }
    }
    assert!(commands >= 2);
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root().join(link).exists(), "{link}");
    }
    Ok(())
}
