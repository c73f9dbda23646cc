//! Running a program of the user's: text in, text out, with a time limit.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::base::clock::Stopwatch;
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(super) enum ProgramError {
    #[error("cannot start `{program}`")]
    #[diagnostic(help(
        "a program is looked for on the PATH; one beside the pipeline file is written `./NAME` \
         and has to be executable"
    ))]
    Start { program: String, source: io::Error },

    #[error("`{program}` failed ({status}){said}")]
    #[diagnostic(help("run it by hand: it reads one JSON object a line from its standard input"))]
    Failed { program: String, status: ExitStatus, said: String },

    #[error("`{program}` was not done after {limit} s and was stopped{said}")]
    #[diagnostic(help(
        "a program ends when its standard input does; give it more time with `timeout_seconds`"
    ))]
    Timeout { program: String, limit: u64, said: String },

    #[error("`{program}` printed more than {limit} bytes and was stopped")]
    #[diagnostic(help("expected one JSON object a line for each text asked for"))]
    TooMuch { program: String, limit: u64 },

    #[error("the output of `{program}` cannot be read")]
    Pipe { program: String, source: io::Error },
}

/// How much of what a program says on its standard error is kept.
const LAST_BYTES: usize = 1 << 16;
/// How often the user's wish to stop is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs a program in a folder with this input and returns what it prints. Stops it, and what it
/// started, after `limit` seconds or when the user wants to stop.
pub(in crate::stages::augment) fn run(
    ctx: &dyn Ctx,
    command: &[String],
    input: Vec<u8>,
    limit: u64,
) -> Result<Vec<u8>, StageError> {
    let program = command.join(" ");
    let most = (64 << 20).max(100 * input.len() as u64);
    let mut child = start(ctx.folder(), command)
        .map_err(|source| ProgramError::Start { program: program.clone(), source })?;
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
        (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
    else {
        unreachable!("all three are piped")
    };
    // A program may end without having read everything; that is its own business.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (errors, said) = mpsc::channel();
    std::thread::spawn(move || {
        // The end is what matters; a program that complains without end must not wait for a reader
        // either.
        let (mut text, mut part) = (Vec::new(), [0; 8192]);
        while let Ok(size) = stderr.read(&mut part)
            && size > 0
        {
            text.extend_from_slice(&part[..size]);
            text.drain(..text.len().saturating_sub(LAST_BYTES));
        }
        let _ = errors.send(text);
    });
    let (outputs, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(most + 1).read_to_end(&mut text);
        let _ = outputs.send(read.map(|_| text));
    });
    let watch = Stopwatch::start();
    let mut printed = None;
    let status = loop {
        if printed.is_none() {
            match output.recv_timeout(INTERVAL) {
                Ok(read) => {
                    printed = Some(read.map_err(|source| ProgramError::Pipe {
                        program: program.clone(),
                        source,
                    })?)
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => printed = Some(Vec::new()),
            }
        } else {
            std::thread::sleep(INTERVAL / 10);
        }
        if printed.as_ref().is_some_and(|text| text.len() as u64 > most) {
            return Err(Box::new(ProgramError::TooMuch { program, limit: most }));
        }
        if let Some(text) = &mut printed
            && let Some(status) = child
                .0
                .try_wait()
                .map_err(|source| ProgramError::Pipe { program: program.clone(), source })?
        {
            break (status, std::mem::take(text));
        }
        if ctx.interrupted() {
            return Err(Box::new(Interrupted));
        }
        if watch.seconds() > limit as f64 {
            child.stop();
            return Err(Box::new(ProgramError::Timeout {
                program,
                limit,
                said: last_words(&said),
            }));
        }
    };
    match status {
        (status, text) if status.success() => Ok(text),
        (status, _) => {
            Err(Box::new(ProgramError::Failed { program, status, said: last_words(&said) }))
        }
    }
}

fn start(folder: &Path, command: &[String]) -> io::Result<Running> {
    let (name, arguments) =
        command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
    // `./NAME` is meant from the pipeline file's folder, wherever `pipe` was started.
    let folder = &std::path::absolute(folder)?;
    let beside = folder.join(name);
    let name =
        if name.contains('/') && beside.exists() { beside.into_os_string() } else { name.into() };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own, so that what it starts can be stopped with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map(Running)
}

/// A program that is stopped when it is forgotten.
struct Running(Child);

impl Running {
    fn stop(&mut self) {
        #[cfg(unix)]
        if let Some(group) =
            i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    /// Also after a good end: what the program started and left behind ends with it.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the end of what a program said on its standard error.
fn last_words(said: &mpsc::Receiver<Vec<u8>>) -> String {
    let text = said.recv_timeout(Duration::from_millis(500)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() { String::new() } else { format!("; its last words:\n{}", last.join("\n")) }
}
