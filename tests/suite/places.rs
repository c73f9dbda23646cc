//! Where pipelines come from and where their runs lie: pipes, copied projects, names.

use std::process::{Command, Stdio};

use fs_err as fs;

use super::project::{Project, Said, TestError};

const PIPELINE: &str = "\
version: 1
name: small
params: { shots: 4 }
stages:
  data: { load: { path: texts.csv, split: { test: 0.3 }, shots: \"${params.shots}\" } }
";

/// The runs of a project, newest first, as `pipe ls` has them.
fn runs(project: &Project) -> Result<Vec<String>, TestError> {
    let listed: serde_json::Value = serde_json::from_str(&project.pipe(&["ls", "--json"])?.out)?;
    let names = listed.as_array().ok_or("no list")?.iter().filter_map(|run| run["run"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// The run that a command without a name speaks of.
fn spoken_of(project: &Project, arguments: &[&str]) -> Result<String, TestError> {
    let said = project.pipe(&[&["verify"], arguments].concat())?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let run = said.err.lines().find_map(|line| line.strip_prefix("run ")?.split(':').next());
    Ok(run.ok_or_else(|| said.err.clone())?.to_owned())
}

#[cfg(unix)]
#[test]
fn a_pipeline_from_a_pipe_belongs_to_the_working_folder() -> Result<(), TestError> {
    let project = Project::with(60, PIPELINE)?;
    let program = env!("CARGO_BIN_EXE_pipe");
    let bash = |script: &str| -> Result<Said, TestError> {
        let script = script.replace("pipe ", &format!("'{program}' "));
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(project.folder()).stdin(Stdio::null());
        Ok(Said::new(command.output()?))
    };
    for (index, script) in [
        "pipe run - SET < x.yaml",
        "pipe run /dev/stdin SET < x.yaml",
        "cat x.yaml | pipe run /dev/stdin SET",
        "cat x.yaml | pipe run - SET",
        "pipe run <(cat x.yaml) SET",
        "cat x.yaml | pipe run /proc/self/fd/0 SET",
        "mkfifo p && (cat x.yaml > p & pipe run p SET)",
    ]
    .iter()
    .enumerate()
    {
        // Another value each time, so that there is something to do.
        let said = bash(&script.replace("SET", &format!("-S params.shots={}", index + 2)))?;
        assert_eq!(said.code, Some(0), "{script}: {}", said.err);
        assert_eq!(project.provenance()?["pipeline"], "-", "{script}");
        assert_eq!(project.provenance()?["name"], "small", "{script}");
        assert_eq!(runs(&project)?.len(), index + 1, "{script}");
    }
    for script in [
        "pipe validate - < x.yaml",
        "pipe graph - < x.yaml",
        "pipe why - data < x.yaml",
        "pipe run -n - < x.yaml",
        "pipe validate <(cat x.yaml)",
    ] {
        let said = bash(script)?;
        assert_eq!(said.code, Some(0), "{script}: {}", said.err);
    }
    // Without a name in the file there is none to take.
    let unnamed = bash("grep -v name: x.yaml | pipe run --force /dev/stdin")?;
    assert_eq!(unnamed.code, Some(0), "{}", unnamed.err);
    assert_eq!(project.provenance()?["name"], "pipeline");
    let wrong = bash("echo 'version: 2' | pipe validate /dev/stdin")?;
    assert!(wrong.code == Some(2) && wrong.err.contains("/dev/stdin:1:10"), "{}", wrong.err);
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_copied_project_speaks_of_its_newest_run() -> Result<(), TestError> {
    let project = Project::with(60, PIPELINE)?;
    project.run(&[])?;
    let first = runs(&project)?;
    let latest = project.path("runs/latest");
    // As after `cp -rL`: the link has become a folder.
    fs::remove_file(&latest)?;
    fs::create_dir(&latest)?;
    for entry in fs::read_dir(project.path("runs").join(&first[0]))? {
        let entry = entry?;
        fs::copy(entry.path(), latest.join(entry.file_name()))?;
    }
    assert_eq!(runs(&project)?, first);
    project.run(&["-S", "params.shots=5"])?;
    let second = runs(&project)?;
    assert_eq!((second.len(), &second[1]), (2, &first[0]));
    assert_eq!(spoken_of(&project, &[])?, second[0]);
    assert!(latest.is_dir() && !latest.is_symlink(), "it is not ours to remove");
    // As where there are no links: it is a file with the name, or leads nowhere.
    for shots in ["6", "7"] {
        let _ = fs::remove_dir_all(&latest);
        match shots {
            "6" => fs::write(&latest, &first[0])?,
            _ => {
                let _ = fs::remove_file(&latest);
                fs_err::os::unix::fs::symlink("gone", &latest)?;
            }
        }
        let newest = runs(&project)?.swap_remove(0);
        assert_eq!(spoken_of(&project, &[])?, newest);
        project.run(&["-S", &format!("params.shots={shots}")])?;
        let newer = runs(&project)?.swap_remove(0);
        assert_ne!(newer, newest);
        assert_eq!(spoken_of(&project, &[])?, newer);
    }
    Ok(())
}

#[test]
fn the_name_of_a_pipeline_is_its_newest_run() -> Result<(), TestError> {
    let project = Project::with(30, PIPELINE)?;
    project.run(&[])?;
    project.run(&["-S", "params.shots=5"])?;
    let small = runs(&project)?.swap_remove(0);
    project.write("y.yaml", &PIPELINE.replace("small", "smaller"))?;
    project.pipe(&["run", "y.yaml"])?;
    let smaller = runs(&project)?.swap_remove(0);
    assert_ne!(small, smaller);
    assert_eq!(spoken_of(&project, &["small"])?, small);
    assert_eq!(spoken_of(&project, &["smaller"])?, smaller);
    let wrong = project.pipe(&["show", "smalle"])?;
    assert!(wrong.err.contains("did you mean `small"), "{}", wrong.err);
    assert!(project.pipe(&["show", "small"])?.err.starts_with(&format!("run {small}:")));
    // Nothing is evaluated, but the run is found.
    for command in ["compare", "report"] {
        let said = project.pipe(&[command, "small"])?;
        assert!(said.err.contains(&small), "{command}: {}", said.err);
    }
    Ok(())
}

#[test]
fn what_a_run_does_not_read_is_refused() -> Result<(), TestError> {
    let project = Project::with(30, PIPELINE)?;
    for (arguments, message) in [
        (&["-S", "params.shot=3"][..], "the file has no parameter `shot`"),
        (&["-S", "sweep.method=random"], "this command does not sweep"),
        (&["-S", "seed=3", "--seeds", "1,2"], "`-S seed` and `--seeds` both set the seeds"),
    ] {
        let said = project.pipe(&[&["run", "x.yaml", "-n"], arguments].concat())?;
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.err.contains(message) && said.err.contains("hint:"), "{}", said.err);
    }
    assert_eq!(project.pipe(&["run", "x.yaml", "-n", "-S", "seed=3"])?.code, Some(0));
    Ok(())
}

#[test]
fn data_that_nothing_uses_is_said() -> Result<(), TestError> {
    let text = "version: 1\nstages:\n  data: { load: { path: texts.csv, split: { test: 0.3 } } }\n  \
                spare: { load: { path: texts.csv } }\n  \
                tuned: { train: { data: data, model: { pretrained: m } } }\n";
    let project = Project::with(30, text)?;
    let said = project.pipe(&["validate", "x.yaml"])?;
    assert_eq!(said.code, Some(0));
    assert!(said.err.contains("warning: no stage uses the data of `spare`"), "{}", said.err);
    assert_eq!(said.err.matches("warning").count(), 1, "{}", said.err);
    // A pipeline of data alone is run for its data.
    project.write("x.yaml", PIPELINE)?;
    assert!(!project.pipe(&["validate", "x.yaml"])?.err.contains("warning"));
    Ok(())
}
