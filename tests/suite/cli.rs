//! The program as its users meet it: exit codes, streams, caching over processes, interruptions.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use fs_err as fs;
use pipe::results::results::ResultTable;
use pipe::results::row::ResultRow;

type TestError = Box<dyn std::error::Error>;

const PIPELINE: &str = "\
version: 1
name: small
params: { shots: 4 }
stages:
  data:
    load:
      path: texts.csv
      split: { test: 0.3, dev: 0.1 }
      shots: ${params.shots}
  other:
    load:
      path: texts.csv
      split: { test: 0.5 }
";

/// A folder with a pipeline and its data.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Result<Bench, TestError> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join(".pipe"))?;
        let rows = (0..30).map(|i| {
            format!("where is my parcel number {i},parcel\nthe money back for case {i},refund\n")
        });
        fs::write(
            folder.path().join("texts.csv"),
            format!("text,label\n{}", rows.collect::<String>()),
        )?;
        fs::write(folder.path().join("x.yaml"), PIPELINE)?;
        Ok(Bench(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env("COLUMNS", "80")
            .env_remove("RUST_BACKTRACE");
        command
    }

    fn pipe(&self, arguments: &[&str]) -> Result<Said, TestError> {
        Ok(Said::new(self.command(arguments).output()?))
    }

    /// Takes the cached outputs away and holds the locks of all keys, so that a run has to wait.
    fn hold_all_keys(&self) -> Result<Vec<fs::File>, TestError> {
        fs::remove_dir_all(self.path().join(".pipe/cache"))?;
        let mut held = Vec::new();
        for entry in fs::read_dir(self.path().join(".pipe/locks"))? {
            let file = fs::OpenOptions::new().write(true).open(entry?.path())?;
            file.lock()?;
            held.push(file);
        }
        Ok(held)
    }
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn new(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The lines of stderr with run names and times replaced.
    fn filtered(&self) -> Vec<String> {
        let word = |word: &str| match word {
            _ if word.len() > 16 && word.starts_with("20") && word[8..].starts_with('T') => {
                "<run>".to_owned()
            }
            word => word.to_owned(),
        };
        let line = |line: &str| {
            let line: Vec<String> = line.split(' ').map(word).collect();
            let line = line.join(" ");
            match line.rsplit_once("in ") {
                Some((before, time)) if time.ends_with(" s") => format!("{before}in <time>"),
                _ => line,
            }
        };
        self.err.lines().map(line).collect()
    }
}

/// Reads stderr until a text comes.
fn wait_for(child: &mut Child, text: &str) -> Result<String, TestError> {
    let mut stderr = child.stderr.take().ok_or("no stderr")?;
    let mut said = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&said).contains(text) {
        if stderr.read(&mut byte)? == 0 {
            return Err(format!("`{text}` did not come: {}", String::from_utf8_lossy(&said)).into());
        }
        said.push(byte[0]);
    }
    child.stderr = Some(stderr);
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_second_run_has_nothing_to_do() -> Result<(), TestError> {
    let bench = Bench::new()?;
    let first = bench.pipe(&["run", "x.yaml"])?;
    assert_eq!(
        first.filtered(),
        [
            "data: started",
            "data: 8 train, 6 dev and 18 test texts of 2 classes",
            "data: done in <time>",
            "other: started",
            "other: 30 train, 0 dev and 30 test texts of 2 classes",
            "other: done in <time>",
            "run <run> complete: 2 computed, 0 cached, in <time>",
        ]
    );
    assert_eq!((first.code, first.out.as_str()), (Some(0), ""));
    let second = bench.pipe(&["run", "x.yaml"])?;
    assert_eq!(
        second.filtered(),
        ["data: cached", "other: cached", "nothing to do: all 2 stages cached, as in run <run>"]
    );
    // Comments, order and spelling change nothing; quiet says nothing.
    let text = PIPELINE
        .replace("name: small", "name: small # mine")
        .replace("test: 0.3, dev: 0.1", "dev: 1e-1, test: 0.30");
    fs::write(bench.path().join("x.yaml"), text)?;
    let third = bench.pipe(&["run", "x.yaml", "-q"])?;
    assert_eq!((third.code, third.out.as_str(), third.err.as_str()), (Some(0), "", ""));
    assert_eq!(bench.pipe(&["ls"])?.out.lines().count(), 2);
    Ok(())
}

#[test]
fn a_dry_run_and_why_name_the_change() -> Result<(), TestError> {
    let bench = Bench::new()?;
    let dry = bench.pipe(&["run", "x.yaml", "-n"])?;
    assert_eq!(dry.out, "data   run  first run\nother  run  first run\n");
    assert!(!bench.path().join("runs").exists());
    bench.pipe(&["run", "x.yaml"])?;
    let dry = bench.pipe(&["run", "x.yaml", "-n", "-S", "params.shots=6"])?;
    assert_eq!(dry.out, "data   run     config changed: `shots`: 4 -> 6\nother  cached\n");
    assert_eq!(dry.err, "dry run: 1 of 2 stages would run\n");
    let why = bench.pipe(&["why", "x.yaml", "data", "-S", "params.shots=6"])?;
    assert!(
        why.out.ends_with("\n  config changed: `shots`: 4 -> 6 (x.yaml:9:14)\n"),
        "{}",
        why.out
    );
    // A change of the data is a change of content, not of time.
    let file = bench.path().join("texts.csv");
    let rows = fs::read_to_string(&file)?;
    fs::write(&file, &rows)?;
    assert_eq!(bench.pipe(&["run", "x.yaml", "-n"])?.out, "data   cached\nother  cached\n");
    fs::write(&file, format!("{rows}one more,refund\n"))?;
    let dry = bench.pipe(&["run", "x.yaml", "-n"])?;
    assert_eq!(
        dry.out,
        "data   run  content of `texts.csv` changed\nother  run  content of `texts.csv` changed\n"
    );
    Ok(())
}

#[test]
fn exit_codes_tell_what_happened() -> Result<(), TestError> {
    let bench = Bench::new()?;
    let cases: [(&[&str], i32, &str); 9] = [
        (&["--version"], 0, ""),
        (&["runx"], 2, "unrecognized subcommand 'runx'"),
        (&["run", "none.yaml"], 2, "`none.yaml`"),
        (
            &["run", "x.yaml", "--until", "dat"],
            2,
            "error: there is no stage `dat`\n  hint: did you mean `data`?\n",
        ),
        (&["run", "x.yaml", "--seeds", "4..0"], 2, "expected the smaller seed first"),
        (
            &["run", "x.yaml", "-S", "stages.data.load.path=none.csv"],
            2,
            "error: stage `data` cannot run\n  caused by: ",
        ),
        (
            &["run", "x.yaml", "-S", "stages.data.load.shots=1000"],
            1,
            "error: stage `data` failed\n  caused by: ",
        ),
        (&["run", "x.yaml", "-S", "stages.data.load.shot=1"], 2, "did you mean `shots`"),
        (&["show", "nope"], 2, "error: there is no run `nope` in "),
    ];
    for (arguments, code, text) in cases {
        let said = bench.pipe(arguments)?;
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(text), "{arguments:?}: {}", said.err);
        assert!(!said.err.contains("panicked") && !said.err.contains('\u{1b}'), "{}", said.err);
    }
    // The failed run is on record, and the other stage's output was kept by -k.
    let said = bench.pipe(&["run", "x.yaml", "-k", "-S", "stages.data.load.shots=1000"])?;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("other: done"), "{}", said.err);
    assert!(bench.pipe(&["ls"])?.out.contains("  failed  "));
    Ok(())
}

#[test]
fn two_processes_compute_each_key_once() -> Result<(), TestError> {
    let bench = Bench::new()?;
    let mut children = Vec::new();
    for _ in 0..4 {
        let mut command = bench.command(&["run", "x.yaml", "--seeds", "0..9", "-j2"]);
        children.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    }
    let mut done = 0;
    for child in children {
        let said = Said::new(child.wait_with_output()?);
        assert_eq!(said.code, Some(0), "{}", said.err);
        done += said.err.lines().filter(|line| line.contains(": done in ")).count();
    }
    // Ten draws and the one stage that does not depend on the seed.
    assert_eq!(done, 11);
    Ok(())
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_and_goes_on_later() -> Result<(), TestError> {
    let bench = Bench::new()?;
    bench.pipe(&["run", "x.yaml"])?;
    for (signal, code, status) in [("-INT", Some(130), "interrupted"), ("-KILL", None, "killed")] {
        let held = bench.hold_all_keys()?;
        let mut child = bench
            .command(&["run", "x.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let line = "data: waiting for another process or stage that computes the same output";
        wait_for(&mut child, line)?;
        Command::new("kill").args([signal, &child.id().to_string()]).status()?;
        let said = Said::new(child.wait_with_output()?);
        assert_eq!(said.code, code, "{}", said.err);
        let list = bench.pipe(&["ls", "--top", "1"])?.out;
        assert!(list.contains(&format!("  {status}  ")), "{list}");
        drop(held);
        assert_eq!(bench.pipe(&["run", "x.yaml"])?.code, Some(0));
    }
    Ok(())
}

#[test]
fn verify_finds_what_changed_on_the_disk() -> Result<(), TestError> {
    let bench = Bench::new()?;
    bench.pipe(&["run", "x.yaml"])?;
    let whole = bench.pipe(&["verify"])?;
    assert_eq!((whole.code, whole.out.as_str()), (Some(0), ""));
    let mut files = Vec::new();
    for entry in fs::read_dir(bench.path().join(".pipe/cache"))? {
        files.push(entry?.path().join("artifact/data.parquet"));
    }
    let mut bytes = fs::read(&files[0])?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&files[0], bytes)?;
    let damaged = bench.pipe(&["verify"])?;
    assert_eq!(damaged.code, Some(1));
    assert!(damaged.err.contains("2 intact, 1 damaged or missing"), "{}", damaged.err);
    // Looking changes nothing.
    assert_eq!(bench.pipe(&["verify"])?.err, damaged.err);
    assert_eq!(bench.pipe(&["verify", "--repair"])?.code, Some(1));
    let healed = bench.pipe(&["run", "x.yaml"])?;
    assert!(healed.code == Some(0) && healed.err.contains(" 1 computed"), "{}", healed.err);
    assert_eq!(bench.pipe(&["verify"])?.code, Some(0));
    Ok(())
}

#[test]
fn results_are_printed_in_every_form() -> Result<(), TestError> {
    let bench = Bench::new()?;
    bench.pipe(&["run", "x.yaml"])?;
    let row = |stage: &str, accuracy: f64| ResultRow {
        run: "r".into(),
        pipeline: "small".into(),
        stage: stage.into(),
        seed: 13,
        split: "test".into(),
        n: 18,
        metrics: [("accuracy".to_owned(), accuracy), ("macro_f1".to_owned(), accuracy)].into(),
        ..ResultRow::default()
    };
    let table =
        ResultTable { rows: vec![row("plain", 0.5), row("a_stage_with_a_rather_long_name", 0.75)] };
    table.write(&bench.path().join("runs/latest"))?;
    let json: serde_json::Value =
        serde_json::from_str(&bench.pipe(&["show", "--json", "--sort-by", "accuracy"])?.out)?;
    assert_eq!(json[0]["stage"], "a_stage_with_a_rather_long_name");
    assert_eq!(bench.pipe(&["show", "--csv"])?.out.lines().count(), 3);
    assert!(bench.pipe(&["show", "--md", "--precision", "2"])?.out.contains("| 0.75 |"));
    let wrong = bench.pipe(&["show", "--metric", "acuracy"])?;
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""));
    assert!(wrong.err.contains("did you mean `accuracy`?"), "{}", wrong.err);
    let output = bench.command(&["show"]).env("COLUMNS", "60").output()?;
    let narrow = Said::new(output).out;
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    assert!(narrow.lines().count() > 5, "{narrow}");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() -> Result<(), TestError> {
    let bench = Bench::new()?;
    let program = env!("CARGO_BIN_EXE_pipe");
    let script = format!("'{program}' schema | true; exit ${{PIPESTATUS[0]}}");
    let said =
        Said::new(Command::new("bash").args(["-c", &script]).current_dir(bench.path()).output()?);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    Ok(())
}

#[test]
fn help_names_the_commands_and_the_exit_codes() -> Result<(), TestError> {
    let help = Bench::new()?.pipe(&["--help"])?.out;
    insta::assert_snapshot!(help, @r"
    Runs declarative experiments for fine-tuning pretrained language models on small
    samples

    Usage: pipe [OPTIONS] <COMMAND>

    Commands:
      init         Look at a table of texts, and write a first pipeline for it
      run          Run a pipeline and print its results
      sweep        Run a pipeline with many parameter values
      validate     Check a pipeline file without running anything
      graph        Print the graph of a pipeline
      why          Explain why a stage would run or is cached
      predict      Predict the texts of a table, or lines from a pipe
      artifacts    Write a training as artifacts for ONNX Runtime's training API
      show         Print the results of a run
      compare      Compare recipes and test whether differences exceed noise
      report       Write the results of runs as one HTML file
      ls           List the runs, newest first
      verify       Re-hash the cached outputs of a run and report damage
      gc           Remove cached outputs that no run uses
      schema       Print the JSON Schema of the pipeline file
      model        Tell what a model is that `pretrained:` may name
      runtime      Show which ONNX Runtime is used, install one, or test a device
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -q, --quiet    Print only warnings and errors
      -v, --verbose  Print more detail
      -h, --help     Print help
      -V, --version  Print version

    Exit codes:
      0    success
      1    a stage failed, or `verify` found damage
      2    wrong usage, or an invalid pipeline file or table
      130  interrupted; the same command resumes the work

    Data goes to stdout, everything else to stderr. NO_COLOR turns colours off;
    PIPE_HOME sets the folder for downloads.
    ");
    Ok(())
}
