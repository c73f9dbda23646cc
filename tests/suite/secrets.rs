//! Values of environment variables are used, and known by their names in all that is written.

use std::path::Path;

use fs_err as fs;

use super::project::{Project, Said, TestError, data};

const TOKEN: &str = "hunter2supersecret";

/// A pipeline with the value of a variable in every place: alone, within a text, by way of a
/// parameter, as a path, as a number, and as an argument of a program.
fn pipeline() -> String {
    format!(
        "\
version: 1
params:
  token: ${{env:PIPE_TEST_TOKEN}}
  nest: {{ header: \"Bearer ${{params.token}}!\" }}
stages:
  data: {{ load: {{ path: \"${{env:PIPE_TEST_FOLDER}}/texts.csv\", split: {{ test: 0.3 }} }} }}
  more:
    augment:
      data: data
      methods:
        - command: {{ run: [sh, own.sh, \"${{params.token}}\", \"${{params.nest.header}}\"] }}
  tuned:
    train:
      data: more
      model: {{ pretrained: {} }}
      epochs: ${{env:PIPE_TEST_EPOCHS}}
      batch_size: 16
      optimizer: {{ adamw: {{ learning_rate: 1e-3 }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
",
        data("tiny-bert"),
    )
}

/// Answers with the words of its arguments, which proves that they arrive.
const PROGRAM: &str = r#"printf '%s\n' "$1" "$2" > arguments
sed 's/"text":"/"text":"again /'
"#;

fn project() -> Result<Project, TestError> {
    let project = Project::with(40, &pipeline())?;
    fs::create_dir(project.path("very-private-folder"))?;
    fs::rename(project.path("texts.csv"), project.path("very-private-folder/texts.csv"))?;
    project.write("own.sh", PROGRAM)?;
    Ok(project)
}

fn pipe(project: &Project, token: &str, arguments: &[&str]) -> Result<Said, TestError> {
    let mut command = project.command(arguments);
    command
        .env("PIPE_TEST_TOKEN", token)
        .env("PIPE_TEST_FOLDER", "very-private-folder")
        .env("PIPE_TEST_EPOCHS", "2");
    Ok(Said::new(command.output()?))
}

/// Returns the files below a folder that hold one of these texts.
fn holders(folder: &Path, texts: &[&str]) -> Result<Vec<String>, TestError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            found.extend(holders(&path, texts)?);
        } else {
            let bytes = fs::read(&path)?;
            let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            found.extend(texts.iter().any(|text| has(text)).then(|| path.display().to_string()));
        }
    }
    Ok(found)
}

#[test]
fn no_file_and_no_output_holds_a_value() -> Result<(), TestError> {
    let project = project()?;
    let said = pipe(&project, TOKEN, &["run", "x.yaml", "-v"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    // The program got the values themselves.
    let arguments = fs::read_to_string(project.path("arguments"))?;
    assert_eq!(arguments, format!("{TOKEN}\nBearer {TOKEN}!\n"));
    let mut outputs = vec![said];
    for arguments in [
        &["report"][..],
        &["show"],
        &["show", "--json"],
        &["show", "--augmented", "more", "--json"],
        &["compare", "latest", "--json"],
        &["run", "x.yaml", "-n"],
        &["run", "x.yaml", "-S", "stages.tuned.train.epochs=3", "-n"],
        &["why", "x.yaml", "tuned", "-S", "stages.tuned.train.epochs=3"],
        &["graph", "x.yaml"],
        &["ls", "--json"],
    ] {
        let said = pipe(&project, TOKEN, arguments)?;
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        outputs.push(said);
    }
    for said in &outputs {
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains(TOKEN) && !all.contains("very-private"), "{all}");
    }
    for folder in ["runs", ".pipe"] {
        let found = holders(&project.path(folder), &[TOKEN, "very-private-folder"])?;
        assert_eq!(found, [""; 0]);
    }
    let row = &project.results()?[0];
    assert_eq!(row.params["token"], "${env:PIPE_TEST_TOKEN}");
    assert_eq!(row.params["nest.header"], "Bearer ${env:PIPE_TEST_TOKEN}!");
    Ok(())
}

#[test]
fn the_resolved_file_runs_again_and_another_value_is_another_key() -> Result<(), TestError> {
    let project = project()?;
    assert_eq!(pipe(&project, TOKEN, &["run", "x.yaml"])?.code, Some(0));
    let resolved = fs::read_to_string(project.path("runs/latest/resolved.yaml"))?;
    for written in ["${env:PIPE_TEST_TOKEN}", "${env:PIPE_TEST_FOLDER}/texts.csv"] {
        assert!(resolved.contains(written), "{resolved}");
    }
    assert!(resolved.contains("epochs: \"${env:PIPE_TEST_EPOCHS}\""), "{resolved}");
    project.write("again.yaml", &resolved)?;
    let said = pipe(&project, TOKEN, &["run", "again.yaml"])?;
    assert!(said.err.contains("nothing to do") || said.err.contains("0 computed"), "{}", said.err);
    // Another value is computed anew, and said without either value.
    let said = pipe(&project, "another-password", &["why", "x.yaml", "more"])?;
    assert!(said.out.contains("config changed: `methods"), "{}", said.out);
    assert!(said.out.contains("${env:PIPE_TEST_TOKEN}"), "{}", said.out);
    assert!(!said.out.contains("another-password"), "{}", said.out);
    let said = pipe(&project, "another-password", &["run", "x.yaml"])?;
    assert!(said.err.contains("more: started"), "{}", said.err);
    Ok(())
}

#[test]
fn errors_and_overrides_name_the_variable() -> Result<(), TestError> {
    let project = project()?;
    for (set, told) in [
        ("stages.tuned.train.epochs=${env:PIPE_TEST_TOKEN}", "found the value of `${env:"),
        ("stages.tuned.train.optimizer=${env:PIPE_TEST_TOKEN}", "found the value of `${env:"),
        ("stages.score.evaluate.split=${env:PIPE_TEST_TOKEN}", "the value of `${env:"),
        ("stages.score.evaluate.model=${env:PIPE_TEST_TOKEN}", "unknown stage `${env:"),
        ("name=${env:PIPE_TEST_TOKEN}/x", "`${env:PIPE_TEST_TOKEN}/x` is not a name"),
        ("stages.tuned.train.model.pretrained=${env:PIPE_TEST_TOKEN}", "${env:PIPE_TEST_TOKEN}"),
        ("stages.data.load.path=${env:PIPE_TEST_TOKEN}.csv", "${env:PIPE_TEST_TOKEN}.csv"),
    ] {
        let said = pipe(&project, TOKEN, &["run", "x.yaml", "-S", set])?;
        let all = format!("{}{}", said.out, said.err);
        assert_ne!(said.code, Some(0), "{set}");
        assert!(all.contains(told) && !all.contains(TOKEN), "{set}:\n{all}");
    }
    let values = "params.token=\"${env:PIPE_TEST_TOKEN}\",b";
    let said = pipe(&project, TOKEN, &["sweep", "x.yaml", values, "-n"])?;
    assert!(said.err.contains("cannot be a value of a sweep"), "{}", said.err);
    assert!(!said.err.contains(TOKEN), "{}", said.err);
    // A program's own words are those of its arguments too.
    project.write("own.sh", "echo \"cannot log in with $1\" >&2; exit 3")?;
    let said = pipe(&project, TOKEN, &["run", "x.yaml"])?;
    assert!(said.err.contains("cannot log in with ${env:PIPE_TEST_TOKEN}"), "{}", said.err);
    assert!(!said.err.contains(TOKEN));
    assert_eq!(holders(&project.path("runs"), &[TOKEN])?, [""; 0]);
    Ok(())
}

/// A default stands in the file, and is no secret.
#[test]
fn a_default_is_written_as_it_is() -> Result<(), TestError> {
    let project = Project::with(
        20,
        "version: 1\nstages:\n  data: { load: { path: \"${env:PIPE_TEST_UNSET:-texts.csv}\" , \
         split: { test: 0.5 } } }\n",
    )?;
    project.run(&[])?;
    let resolved = fs::read_to_string(project.path("runs/latest/resolved.yaml"))?;
    assert!(resolved.contains("path: texts.csv") && !resolved.contains("env:"), "{resolved}");
    Ok(())
}
