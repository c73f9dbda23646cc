//! Attacks by chance: kills, signals, processes side by side, lost bits, full disks, garbage.
//!
//! Each test goes on for a share of `PIPE_TEST_SECONDS` (by default 120) and then prints what it
//! tried. `PIPE_TEST_SEED` gives other attacks. For an hour of them:
//!
//! ```text
//! PIPE_TEST_SECONDS=3600 PIPE_TEST_SEED=$RANDOM \
//!     cargo test --release --test main -- suite::attacks --nocapture --test-threads 2
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use fs_err as fs;
use pipe::base::clock::Stopwatch;

use super::project::{Project, Said, TestError, data};

/// The tests of this file, each of which has its share of the time.
const SHARES: f64 = 8.0;

fn pipeline() -> String {
    format!(
        "\
version: 1
name: tiny
seed: 1
params: {{ rate: 1e-3 }}
stages:
  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3, dev: 0.2 }} }} }}
  more: {{ augment: {{ data: data, methods: [aeda: {{ copies: 1 }}] }} }}
  tuned:
    train:
      data: data
      model: {{ pretrained: {0} }}
      epochs: 2
      batch_size: 8
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  wide:
    train:
      data: more
      model: {{ pretrained: {0} }}
      epochs: 1
      batch_size: 8
      optimizer: {{ adamw: {{ learning_rate: \"${{params.rate}}\" }} }}
  dev_score: {{ evaluate: {{ model: tuned, data: data, split: dev }} }}
  score: {{ evaluate: {{ model: tuned, data: data }} }}
  wide_score: {{ evaluate: {{ model: wide, data: data }} }}
sweep:
  metric: {{ name: dev_score.macro_f1 }}
  parameters: {{ params.rate: {{ values: [1e-4, 1e-3] }} }}
  seeds: [1, 2]
",
        data("tiny-bert")
    )
}

const RUN: [&str; 5] = ["run", "x.yaml", "--threads", "1", "--csv"];
const SWEEP: [&str; 6] = ["sweep", "x.yaml", "--threads", "1", "-j2", "--csv"];

/// Chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn new(stream: u64) -> Chance {
        let seed = std::env::var("PIPE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        Chance(seed.unwrap_or(1u64).wrapping_mul(1_000_003).wrapping_add(stream))
    }

    /// Draws a number below `most` (SplitMix64).
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % most.max(1) as u64) as usize
    }

    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / (1 << 30) as f64
    }
}

/// Counts what is tried until the time is over.
struct Budget {
    what: &'static str,
    stopwatch: Stopwatch,
    seconds: f64,
    tried: usize,
}

impl Budget {
    fn new(what: &'static str) -> Budget {
        let seconds = std::env::var("PIPE_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
        let seconds = seconds.unwrap_or(120.0) / SHARES;
        Budget { what, stopwatch: Stopwatch::start(), seconds, tried: 0 }
    }

    /// Says whether there is time for one more; at least one is tried on the slowest machine.
    fn goes_on(&mut self) -> bool {
        let goes_on = self.tried == 0 || self.stopwatch.seconds() < self.seconds;
        self.tried += usize::from(goes_on);
        goes_on
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        let _ = writeln!(std::io::stderr(), "tried: {} {}", self.tried, self.what);
    }
}

/// Returns the rows of a printed table without what differs from run to run.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let own = ["run", "seconds", "peak_memory", "backend_reason"];
    lines
        .map(|line| {
            let cells = names.iter().zip(line.split(','));
            cells
                .filter(|(name, _)| !own.contains(name))
                .map(|(name, cell)| ((*name).to_owned(), cell.to_owned()))
                .collect()
        })
        .collect()
}

fn start(project: &Project, arguments: &[&str]) -> Result<Child, TestError> {
    let mut command = project.command(arguments);
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// Lists all files below some folders, links left out.
fn files(folders: &[PathBuf]) -> Result<Vec<PathBuf>, TestError> {
    let mut found = Vec::new();
    let mut folders = folders.to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.retain(|file| fs::metadata(file).is_ok_and(|about| about.len() > 0));
    found.sort();
    Ok(found)
}

/// Copies a folder with its links.
fn copy(from: &Path, to: &Path) -> Result<(), TestError> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("a name")?);
        if path.is_symlink() {
            #[cfg(unix)]
            fs_err::os::unix::fs::symlink(fs::read_link(&path)?, &target)?;
        } else if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// A program that met something wrong says so in its own words.
fn assert_civil(said: &Said, context: &str) {
    let is_crash = said.code.is_none_or(|code| code > 130 || code == 101 || code == 134);
    let is_bug = ["internal error", "panicked", "bug in `pipe`", "stack overflow"]
        .iter()
        .any(|text| said.err.contains(text));
    assert!(!is_crash && !is_bug, "{context}: {said:?}");
    assert!(said.code == Some(0) || said.err.contains("error: ") || said.err.contains("warning: "));
}

#[test]
fn killed_work_ends_as_undisturbed_work() -> Result<(), TestError> {
    let (mut chance, mut budget) = (Chance::new(1), Budget::new("runs and sweeps killed"));
    let calm = Project::with(60, &pipeline())?;
    let expected = [RUN.to_vec(), SWEEP.to_vec()].map(|command| {
        let stopwatch = Stopwatch::start();
        calm.pipe(&command).map(|said| (rows(&said.out), stopwatch.seconds()))
    });
    let [run, sweep] = expected;
    let (run, sweep) = (run?, sweep?);
    while budget.goes_on() {
        let project = Project::with(60, &pipeline())?;
        let (command, (table, time)) =
            if chance.below(2) == 0 { (RUN.to_vec(), &run) } else { (SWEEP.to_vec(), &sweep) };
        for _ in 0..1 + chance.below(3) {
            let mut child = start(&project, &command)?;
            std::thread::sleep(Duration::from_secs_f64(time * chance.share()));
            child.kill()?;
            child.wait()?;
        }
        let said = project.pipe(&command)?;
        assert_eq!((said.code, rows(&said.out)), (Some(0), table.clone()), "{}", said.err);
        assert_eq!(project.pipe(&["verify"])?.code, Some(0));
        assert_eq!(project.pipe(&["gc", "--keep-days", "0"])?.code, Some(0));
        let left: Vec<PathBuf> = files(&[project.path(".pipe"), project.path("runs")])?
            .into_iter()
            .filter(|file| file.to_string_lossy().contains("/.tmp-"))
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_second_interruption_ends_at_once() -> Result<(), TestError> {
    use rustix::process::{Pid, Signal, kill_process};
    let (mut chance, mut budget) = (Chance::new(2), Budget::new("double interruptions"));
    let project = Project::with(200, &pipeline().replace("epochs: 2", "epochs: 400"))?;
    while budget.goes_on() {
        let child = start(&project, &[&RUN[..], &["-f"]].concat())?;
        let pid = Pid::from_raw(child.id().cast_signed()).ok_or("a process")?;
        std::thread::sleep(Duration::from_secs_f64(0.02 + 0.8 * chance.share()));
        for signal in [[Signal::INT, Signal::TERM][chance.below(2)], Signal::INT] {
            // A process that has ended by then cannot be asked.
            let _ = kill_process(pid, signal);
            std::thread::sleep(Duration::from_secs_f64(0.03 * chance.share()));
        }
        let said = Said::new(child.wait_with_output()?);
        // Before the handler stands, or between the two, the first ends it as it ends any program.
        let is_early = said.code.is_none() && !said.err.contains("stopping after");
        assert!(said.code == Some(130) || is_early, "{said:?}");
    }
    Ok(())
}

#[test]
fn work_side_by_side_loses_no_row() -> Result<(), TestError> {
    let mut chance = Chance::new(3);
    let mut budget = Budget::new("sweeps beside another, with gc in a loop");
    let calm = Project::with(60, &pipeline())?;
    let expected = rows(&calm.pipe(&SWEEP)?.out);
    assert_eq!(expected.len(), 12);
    let mut completed = 0;
    while budget.goes_on() {
        let project = Project::with(60, &pipeline())?;
        let one = start(&project, &SWEEP)?;
        std::thread::sleep(Duration::from_secs_f64(0.3 * chance.share()));
        let mut other = start(&project, &[&SWEEP[..], &["--fail-fast"]].concat())?;
        loop {
            let said = project.pipe(&["gc", "--keep-days", "0"])?;
            assert_eq!(said.code, Some(0), "{}", said.err);
            if other.try_wait()?.is_some() {
                break;
            }
        }
        for child in [one, other] {
            let said = Said::new(child.wait_with_output()?);
            assert_civil(&said, "beside gc");
            if said.code == Some(0) {
                completed += 1;
                assert_eq!(rows(&said.out), expected, "{}", said.err);
            }
        }
    }
    assert!(completed > 0, "no sweep has come to its end");
    Ok(())
}

#[test]
fn a_lost_bit_is_healed_or_named() -> Result<(), TestError> {
    let mut chance = Chance::new(4);
    let mut budget = Budget::new("bits flipped in files of a project");
    let project = Project::with(60, &pipeline())?;
    let run = rows(&project.pipe(&RUN)?.out);
    let sweep = rows(&project.pipe(&SWEEP)?.out);
    let compared = project.pipe(&["compare", "latest", "--json"])?;
    let (state, runs) = (project.path(".pipe"), project.path("runs"));
    let saved = tempfile::tempdir()?;
    copy(&state, &saved.path().join("state"))?;
    copy(&runs, &saved.path().join("runs"))?;
    let all = files(&[state.clone(), runs.clone()])?;
    while budget.goes_on() {
        let file = &all[chance.below(all.len())];
        let mut bytes = fs::read(file)?;
        let place = chance.below(bytes.len());
        bytes[place] ^= 1 << chance.below(8);
        fs::write(file, &bytes)?;
        let name = format!("{} at {place}", file.strip_prefix(project.folder())?.display());
        for command in [&["ls"][..], &["show"], &["verify"]] {
            assert_civil(&project.pipe(command)?, &name);
        }
        let said = project.pipe(&["compare", "latest", "--json"])?;
        assert_civil(&said, &name);
        assert!(said.code != Some(0) || said.out == compared.out, "{name}: {said:?}");
        // Without its results, a run reads what they are made from.
        if chance.below(2) == 0 {
            fs::remove_dir_all(&runs)?;
            fs::create_dir(&runs)?;
        }
        for (command, expected) in [(RUN.to_vec(), &run), (SWEEP.to_vec(), &sweep)] {
            let said = project.pipe(&command)?;
            assert_civil(&said, &name);
            assert_eq!((said.code, &rows(&said.out)), (Some(0), expected), "{name}: {said:?}");
        }
        for (folder, name) in [(&state, "state"), (&runs, "runs")] {
            fs::remove_dir_all(folder)?;
            copy(&saved.path().join(name), folder)?;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_no_loss() -> Result<(), TestError> {
    let (mut chance, mut budget) = (Chance::new(5), Budget::new("runs on a disk that fills up"));
    let calm = Project::with(60, &pipeline())?;
    let expected = rows(&calm.pipe(&RUN)?.out);
    while budget.goes_on() {
        let project = Project::with(60, &pipeline())?;
        // No file may grow beyond so many blocks, which needs no disk of our own.
        let blocks = 1 << chance.below(12);
        let command = format!("ulimit -f {blocks}; exec \"$0\" {}", RUN.join(" "));
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &command, env!("CARGO_BIN_EXE_pipe")]).current_dir(project.folder());
        let said = Said::new(shell.output()?);
        assert_civil(&said, &format!("{blocks} blocks"));
        if said.code == Some(0) {
            assert_eq!(rows(&said.out), expected, "{blocks} blocks");
        }
        let said = project.pipe(&RUN)?;
        assert_eq!((said.code, rows(&said.out)), (Some(0), expected.clone()), "{}", said.err);
    }
    Ok(())
}

/// Changes a text at a few places: bytes, lines and words come, go and change places.
fn garble(bytes: &mut Vec<u8>, chance: &mut Chance) {
    const PIECES: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b": ",
        b"\n",
        b"\"",
        b"'",
        b"&a ",
        b"*a",
        b"${params.rate}",
        b"-",
        b"1e999",
        b"\xff\xfe",
        b"\x1b[2J",
        b"null",
    ];
    for _ in 0..1 + chance.below(4) {
        let place = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 if !bytes.is_empty() => {
                let place = place.min(bytes.len() - 1);
                bytes[place] ^= 1 << chance.below(8);
            }
            1 => {
                let end = (place + chance.below(12)).min(bytes.len());
                bytes.drain(place..end);
            }
            2 => {
                let piece = PIECES[chance.below(PIECES.len())];
                bytes.splice(place..place, piece.iter().copied());
            }
            3 => {
                let end = (place + chance.below(40)).min(bytes.len());
                let part = bytes[place..end].to_vec();
                let target = chance.below(bytes.len() + 1);
                bytes.splice(target..target, part);
            }
            _ => bytes.truncate(bytes.len() - chance.below(bytes.len() / 4 + 1)),
        }
    }
}

#[test]
fn a_garbled_pipeline_is_refused_or_planned() -> Result<(), TestError> {
    let (mut chance, mut budget) = (Chance::new(6), Budget::new("garbled pipelines"));
    let project = Project::with(20, &pipeline())?;
    let sound = pipeline().into_bytes();
    while budget.goes_on() {
        let mut bytes = sound.clone();
        garble(&mut bytes, &mut chance);
        fs::write(project.path("x.yaml"), &bytes)?;
        for command in [["validate", "x.yaml"], ["graph", "x.yaml"]] {
            let said = project.pipe(&command)?;
            assert_civil(&said, &String::from_utf8_lossy(&bytes));
            assert!(matches!(said.code, Some(0 | 2)), "{said:?}");
        }
    }
    Ok(())
}

#[test]
fn garbled_tables_and_models_are_refused_or_read() -> Result<(), TestError> {
    let (mut chance, mut budget) = (Chance::new(7), Budget::new("garbled tables and models"));
    let table = "version: 1\nstages:\n  data: { load: { path: PATH, split: { test: 0.3 } } }\n";
    let project = Project::new(40)?;
    let texts = fs::read_to_string(project.path("texts.csv"))?;
    let mut lines = texts.lines().skip(1).filter_map(|line| line.rsplit_once(','));
    let jsonl: String = lines
        .by_ref()
        .map(|(text, label)| format!("{{\"text\": \"{text}\", \"label\": \"{label}\"}}\n"))
        .collect();
    // A data set in the cache is a Parquet file with texts and labels.
    project.write("x.yaml", &table.replace("PATH", "texts.csv"))?;
    project.run(&["-q"])?;
    let parquet = fs::read(project.artifact("data")?.join("data.parquet"))?;
    let tables: [(&str, Vec<u8>); 3] =
        [("t.csv", texts.clone().into_bytes()), ("t.jsonl", jsonl.into()), ("t.parquet", parquet)];
    let model = project.path("model");
    copy(Path::new(&data("tiny-bert")), &model)?;
    let parts = ["config.json", "tokenizer.json", "model.safetensors"]
        .map(|name| fs::read(model.join(name)).map(|bytes| (name, bytes)));
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    while budget.goes_on() {
        if chance.below(3) > 0 {
            let (name, sound) = &tables[chance.below(tables.len())];
            let mut bytes = sound.clone();
            garble(&mut bytes, &mut chance);
            fs::write(project.path(name), &bytes)?;
            project.write("t.yaml", &table.replace("PATH", name))?;
            let said = project.pipe(&["run", "t.yaml", "--threads", "1", "-q"])?;
            assert_civil(&said, name);
        } else {
            let (name, sound) = &parts[chance.below(parts.len())];
            let mut bytes = sound.clone();
            garble(&mut bytes, &mut chance);
            fs::write(model.join(name), &bytes)?;
            let yaml = pipeline().replace(&data("tiny-bert"), "model");
            project.write("m.yaml", &yaml.replace("epochs: 2", "epochs: 1"))?;
            let run = ["run", "m.yaml", "--threads", "1", "-q", "--until", "score"];
            assert_civil(&project.pipe(&run)?, name);
            fs::write(model.join(name), sound)?;
        }
    }
    Ok(())
}

#[test]
fn garbled_run_folders_are_named_or_read() -> Result<(), TestError> {
    let (mut chance, mut budget) = (Chance::new(8), Budget::new("garbled files of runs"));
    let project = Project::with(60, &pipeline())?;
    project.pipe(&RUN)?;
    project.pipe(&SWEEP)?;
    let runs = project.path("runs");
    let all = files(std::slice::from_ref(&runs))?;
    let commands: [&[&str]; 7] = [
        &["ls", "--json"],
        &["show", "--csv"],
        &["show", "--confusion"],
        &["compare", "latest", "--csv"],
        &["report", "-o", "r.html"],
        &["verify"],
        &["gc", "-n"],
    ];
    while budget.goes_on() {
        let file = &all[chance.below(all.len())];
        let sound = fs::read(file)?;
        let mut bytes = sound.clone();
        garble(&mut bytes, &mut chance);
        fs::write(file, &bytes)?;
        let command = commands[chance.below(commands.len())];
        let said = project.pipe(command)?;
        assert_civil(&said, &format!("{command:?} with {}", file.display()));
        fs::write(file, &sound)?;
    }
    Ok(())
}
