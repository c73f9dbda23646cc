//! What is shipped works: the pipelines, and the file and the commands that the README shows.

use fs_err as fs;

use super::project::{Project, TestError, data, repository};

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
    }
    Ok(())
}

/// Every pipeline runs to its table, with few texts and one epoch.
#[test]
fn every_pipeline_runs() -> Result<(), TestError> {
    let project = copy()?;
    for name in pipelines()? {
        let file = format!("pipelines/{name}");
        let text = fs::read_to_string(project.path(&file))?;
        let mut set = Vec::new();
        let mut stage = "";
        let mut evaluations = 0;
        let by_steps = text.contains("budget:");
        if by_steps {
            set.extend(["params.steps=2".to_owned(), "params.to=3".to_owned()]);
        }
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("  ").filter(|id| !id.starts_with(' ')) {
                stage = id.split(':').next().unwrap_or(id);
            }
            let kind = line.trim();
            if kind.starts_with("train:") {
                set.extend((!by_steps).then(|| format!("stages.{stage}.train.epochs=1")));
                set.push(format!("stages.{stage}.train.max_length=16"));
            } else if kind.starts_with("load:") {
                set.push(format!("stages.{stage}.load.shots=2"));
                set.push(format!("stages.{stage}.load.dev_shots=2"));
                set.push(format!("stages.{stage}.load.split={{ test: 0.1, dev: 0.1 }}"));
            }
            evaluations += usize::from(kind.contains("evaluate:"));
        }
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

/// The blocks of the README between fences, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> =
                lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            blocks.push((language.to_owned(), body.join("\n")));
        }
    }
    blocks
}

#[test]
fn the_readmes_pipeline_and_commands_are_sound() -> Result<(), TestError> {
    let text = fs::read_to_string(repository("README.md"))?;
    let project = copy()?;
    let rows = "message,team\nmy bill is wrong,billing\nit crashes,support\nwhere is my \
                invoice,billing\nno sound,support\n";
    project.write("tickets.csv", rows)?;
    let yaml: Vec<String> = blocks(&text)
        .into_iter()
        .filter(|(language, _)| language == "yaml")
        .map(|(_, body)| body)
        .collect();
    assert_eq!(yaml.len(), 1);
    project.write("tickets.yaml", &format!("{}\n", yaml[0]))?;
    let said = project.pipe(&["validate", "tickets.yaml"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let searched = searched()?;
    // Every command, in blocks and in the text, with what has to stay as it is taken by a dry run.
    let indented = text.lines().filter_map(|line| line.strip_prefix("    "));
    let inline = text.split('`').skip(1).step_by(2);
    let mut seen = Vec::new();
    for command in indented.chain(inline) {
        let command = command.replace("cargo run --release -- ", "pipe ");
        let Some(command) = command.strip_prefix("pipe ") else { continue };
        let mut arguments: Vec<&str> =
            command.split_whitespace().map(|argument| argument.trim_matches('\'')).collect();
        if ["run", "sweep"].contains(&arguments[0]) {
            arguments.push("-n");
        }
        // These want something that has run.
        let of_runs = ["compare", "report"].contains(&arguments[0]);
        let said = if of_runs { searched.pipe(&arguments)? } else { project.pipe(&arguments)? };
        assert_eq!(said.code, Some(0), "`pipe {command}`: {}", said.err);
        seen.push(arguments[0].to_owned());
    }
    for wanted in ["run", "sweep", "compare", "report", "schema"] {
        assert!(seen.contains(&wanted.to_owned()), "{seen:?}");
    }
    // The options that the text names exist.
    let help: Vec<String> = ["run", "sweep"]
        .iter()
        .map(|command| Ok(project.pipe(&[*command, "--help"])?.out))
        .collect::<Result<_, TestError>>()?;
    for option in inline_options(&text) {
        let is_known = help.iter().any(|help| help.contains(&option));
        assert!(is_known, "`{option}` of the README is no option of `pipe run` or `pipe sweep`");
    }
    assert_eq!(
        project.pipe(&["run", "tickets.yaml", "-n", "-S", "params.shots=32"])?.code,
        Some(0)
    );
    Ok(())
}

/// A project with a small sweep that has run.
fn searched() -> Result<Project, TestError> {
    let pipeline = format!(
        "\
version: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3 }} }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: {} }}
      epochs: 1
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
",
        data("tiny-bert")
    );
    let project = Project::with(60, &pipeline)?;
    let said = project.pipe(&["sweep", "x.yaml", "params.rate=1e-3,1e-2", "--seeds", "1,2"])?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    Ok(project)
}

/// The options in backquotes, such as `-n` and `--json`.
fn inline_options(text: &str) -> Vec<String> {
    let first = |code: &str| code.split([' ', '=']).next().unwrap_or_default().to_owned();
    let options: Vec<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.starts_with('-'))
        .map(first)
        .collect();
    assert!(options.len() >= 3, "{options:?}");
    options
}
