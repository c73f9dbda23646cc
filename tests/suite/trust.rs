//! The working folder, a server and a file are not trusted: what they bring is neither run nor
//! believed, and what a killed run leaves behind ends or is removed.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use pipe::engine::runtime::version::VERSION;

use super::project::{Project, Said, TestError};

/// Augments by a program, and trains nothing.
const PROGRAM: &str = r#"version: 1
stages:
  data:
    load:
      path: texts.csv
      text: text
      label: label
      split: { test: 0.3 }
  more:
    augment:
      data: data
      methods:
        - command: { run: ["sh", "-c", "echo $$ > number; exec sleep 300"], copies: 1 }
"#;

/// Waits until something is so, for a minute at most.
fn waits(mut is_so: impl FnMut() -> bool) -> bool {
    (0..6000).any(|_| {
        let found = is_so();
        if !found {
            std::thread::sleep(Duration::from_millis(10));
        }
        found
    })
}

/// Returns the number of a process that a file names, once it is there.
fn number(file: &Path) -> Result<String, TestError> {
    let read = || fs::read_to_string(file).unwrap_or_default().trim().to_owned();
    if !waits(|| !read().is_empty()) {
        return Err(format!("{} does not come", file.display()).into());
    }
    Ok(read())
}

/// Says whether a process is at work: there, and not only waiting to be counted as dead.
fn is_alive(number: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// Makes a program that the `PATH` finds before all others.
#[cfg(unix)]
fn program(project: &Project, name: &str, script: &str) -> Result<std::ffi::OsString, TestError> {
    use std::os::unix::fs::PermissionsExt;
    let folder = project.path("bin");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), script)?;
    fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755))?;
    let usual = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&usual)))?)
}

#[test]
fn a_working_folder_brings_no_library() -> Result<(), TestError> {
    let project = Project::new(20)?;
    for place in [".pipe/home", "home/pipe", "home"] {
        let folder = project.path(place).join(format!("runtimes/onnxruntime-{VERSION}"));
        fs::create_dir_all(&folder)?;
        let names = [
            format!("libonnxruntime.so.{VERSION}"),
            format!("libonnxruntime.{VERSION}.dylib"),
            "onnxruntime.dll".to_owned(),
        ];
        for name in names {
            fs::write(folder.join(name), "no library")?;
        }
    }
    let shown = |name: &str, value: Option<&str>| -> Result<Said, TestError> {
        let mut command = project.command(&["runtime"]);
        for unset in ["PIPE_HOME", "XDG_CACHE_HOME", "HOME", "ORT_DYLIB_PATH"] {
            command.env_remove(unset);
        }
        if let Some(value) = value {
            command.env(name, value);
        }
        Ok(Said::new(command.output()?))
    };
    for (name, value) in
        [("HOME", None), ("HOME", Some("")), ("HOME", Some(".")), ("XDG_CACHE_HOME", Some("home"))]
    {
        let said = shown(name, value)?;
        let all = format!("{}{}", said.out, said.err);
        assert!(!all.contains("not a shared library") && !all.contains(".pipe"), "{name}: {all}");
        // An empty one counts as none: the system knows the user's home.
        if value == Some(".") {
            assert_eq!(said.code, Some(1), "{all}");
            assert!(all.contains("hint: set `PIPE_HOME` to a folder"), "{all}");
        }
    }
    // The same folder is looked at where it is named in full.
    let home = project.path("home").display().to_string();
    let said = shown("PIPE_HOME", Some(&home))?;
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("not a shared library"), "{all}");
    let said = shown("PIPE_HOME", Some("home"))?;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("`PIPE_HOME` is set to `home`, which is no full path"),
        "{}",
        said.err
    );
    Ok(())
}

#[test]
fn a_working_folder_brings_no_pip() -> Result<(), TestError> {
    let project = Project::new(20)?;
    project.write("pip.py", "open('ran', 'w').write('x')\nimport sys\nsys.exit(1)\n")?;
    let mut command = project.command(&["runtime", "install"]);
    command.env("PIPE_HOME", project.path("home")).env("PIP_NO_INDEX", "1");
    let said = Said::new(command.env_remove("ORT_DYLIB_PATH").output()?);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(!project.path("ran").exists(), "pip.py of the working folder was run");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn an_installer_ends_with_a_killed_program_and_its_folder_is_removed() -> Result<(), TestError> {
    let project = Project::new(20)?;
    let here = project.folder().display();
    let path = program(
        &project,
        "python3",
        &format!(
            "#!/bin/sh\ncase \"$*\" in -I*) echo '{here}/bin/python3'; exit 0;;\n\
             *--version*) exit 0;; esac\n\
             pwd > '{here}/where'; echo \"$*\" > '{here}/arguments'\n\
             test -e '{here}/fails' && exit 1\n\
             echo half > \"$TMPDIR/half\"; echo $$ > '{here}/number'; exec sleep 300\n"
        ),
    )?;
    let install = || {
        let mut command = project.command(&["runtime", "install"]);
        command.env("PIPE_HOME", project.path("home")).env("PATH", &path);
        command.env_remove("ORT_DYLIB_PATH");
        command
    };
    let mut child = install().stderr(std::process::Stdio::null()).spawn()?;
    let installer = number(&project.path("number"))?;
    assert!(is_alive(&installer));
    child.kill()?;
    child.wait()?;
    assert!(waits(|| !is_alive(&installer)), "the installer goes on");
    // It worked in an empty folder, and took no name for an option.
    let folder = fs::read_to_string(project.path("where"))?;
    assert!(Path::new(folder.trim()).starts_with(project.path("home/tmp")), "{folder}");
    let arguments = fs::read_to_string(project.path("arguments"))?;
    assert!(arguments.contains(" -- onnxruntime=="), "{arguments}");

    let left = || -> Result<usize, TestError> {
        let entries = fs::read_dir(project.path("home/tmp"))?.collect::<Result<Vec<_>, _>>()?;
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name.starts_with(".tmp-")).count())
    };
    assert_eq!(left()?, 2, "a folder and its lock");
    project.write("fails", "")?;
    assert_eq!(install().output()?.status.code(), Some(1));
    assert_eq!(left()?, 0);
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_of_the_user_ends_with_a_killed_run() -> Result<(), TestError> {
    let project = Project::with(20, PROGRAM)?;
    let mut run = project.command(&["run", "x.yaml", "-q"]);
    let mut child = run.stderr(std::process::Stdio::null()).spawn()?;
    let program = number(&project.path("number"))?;
    assert!(is_alive(&program));
    child.kill()?;
    child.wait()?;
    assert!(waits(|| !is_alive(&program)), "the program goes on");
    Ok(())
}

#[test]
fn references_that_are_none_are_found_before_a_run() -> Result<(), TestError> {
    let train = "version: 1\nstages:\n  data:\n    load: { path: texts.csv, text: text, label: \
                 label, split: { test: 0.3 } }\n  tuned:\n    train: { data: data, model: { \
                 pretrained: \"REFERENCE\" } }\n";
    for reference in ["pip:--index-url=x", "pip:a==--index-url", "hf:../x", ""] {
        let project = Project::with(20, &train.replace("REFERENCE", reference))?;
        let said = project.pipe(&["validate", "x.yaml"])?;
        assert_eq!(said.code, Some(2), "{reference}: {}", said.err);
        let message = format!("`{reference}` is not a model reference");
        assert!(said.err.contains(&message), "{}", said.err);
    }
    Ok(())
}

/// Few bytes that stand for many rows: a table of results, and one of texts.
#[test]
fn a_table_that_would_fill_the_memory_is_refused() -> Result<(), TestError> {
    use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter};

    const ROWS: usize = 100_000;
    let project = Project::with(20, &PROGRAM.replace("texts.csv", "bomb.parquet"))?;
    let texts = ["run", "pipeline", "stage", "split", "backend", "device", "text", "label"];
    let texts = texts.map(|name| Column::new(name.into(), vec!["the same everywhere"; ROWS]));
    let numbers = ["seed", "n", "steps"].map(|name| Column::new(name.into(), vec![1_u64; ROWS]));
    let mut frame = DataFrame::new(ROWS, texts.into_iter().chain(numbers).collect())?;
    let file = fs::File::create(project.path("bomb.parquet"))?;
    let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
    writer.finish(&mut frame)?;
    for (arguments, code) in [(["compare", "bomb.parquet"], Some(1)), (["run", "x.yaml"], Some(1))]
    {
        let mut command = project.command(&arguments);
        let said = Said::new(command.env("PIPE_MAX_UNPACKED", "10 MB").output()?);
        assert_eq!(said.code, code, "{}", said.err);
        for part in ["bomb.parquet` would take ", "the limit is 9.5 MiB", "set `PIPE_MAX_UNPACKED`"]
        {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
        let said = Said::new(project.command(&arguments).env("PIPE_MAX_UNPACKED", "x").output()?);
        assert!(said.err.contains("`PIPE_MAX_UNPACKED` is `x`; expected a number"), "{}", said.err);
    }
    Ok(())
}
