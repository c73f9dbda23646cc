//! Runs a user's program: text in, text out, with a time limit.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::base::clock::Stopwatch;
use crate::base::program::end_with_parent;
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;

/// A failure of a user's program.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(super) enum ProgramError {
    #[error("cannot start `{program}`")]
    #[diagnostic(help(
        "programs are looked up on the PATH; write `./NAME` for one beside the pipeline file, \
         which must be executable"
    ))]
    Start { program: String, source: io::Error },

    #[error("`{program}` failed ({status}){said}")]
    #[diagnostic(help(
        "run it by hand: it reads one JSON object per line from its standard input"
    ))]
    Failed { program: String, status: ExitStatus, said: String },

    #[error("`{program}` had not finished after {limit} s and was stopped{said}")]
    #[diagnostic(help(
        "the program should exit when its standard input ends; `timeout_seconds` gives it more time"
    ))]
    Timeout { program: String, limit: u64, said: String },

    #[error("`{program}` printed more than {limit} bytes and was stopped")]
    #[diagnostic(help("expected one JSON object per line, one for each requested text"))]
    TooMuch { program: String, limit: u64 },

    #[error("the output of `{program}` cannot be read")]
    Pipe { program: String, source: io::Error },
}

/// The number of bytes of a program's standard error that are kept.
const LAST_BYTES: usize = 1 << 16;
/// The interval between checks for an interruption.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs a program in a folder with this input and returns its output. Stops the program and its
/// children after `limit` seconds or on an interruption. If this process is killed, Linux ends the
/// program too, but not what the program has started.
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
        (child.child.stdin.take(), child.child.stdout.take(), child.child.stderr.take())
    else {
        unreachable!("all three are piped")
    };
    // A program may exit before it has read all input; that is no error.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (errors, said) = mpsc::channel();
    std::thread::spawn(move || {
        // Only the end is kept. Reading goes on, so that a program with endless messages does not
        // block.
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
                .ended()
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
    // `./NAME` is relative to the pipeline file's folder, wherever `pipe` was started.
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
    // A process group of its own, so that its children can be stopped with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // The caller waits for the program in this thread.
    end_with_parent(&mut command);
    command.spawn().map(|child| Running { child, status: None })
}

/// A program that is stopped when this value is dropped.
struct Running {
    child: Child,
    /// Set once the system has given its number, which is that of its group too, free for others.
    /// From then on nothing is signalled.
    status: Option<ExitStatus>,
}

impl Running {
    /// Returns how the program ended, if it has; then its children are stopped.
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() && self.has_ended()? {
            self.stop();
        }
        Ok(self.status)
    }

    /// Says whether the program has ended. On Unix its number stays its own.
    #[cfg(unix)]
    fn has_ended(&mut self) -> io::Result<bool> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let Some(number) = self.number() else { return Ok(true) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(number), options)?.is_some())
    }

    #[cfg(not(unix))]
    fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    #[cfg(unix)]
    fn number(&self) -> Option<rustix::process::Pid> {
        i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
    }

    fn stop(&mut self) {
        if self.status.is_some() {
            return;
        }
        #[cfg(unix)]
        if let Some(group) = self.number() {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        self.status = self.child.wait().ok();
    }
}

impl Drop for Running {
    /// Children that the program left behind end with it.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the end of a program's standard error.
fn last_words(said: &mpsc::Receiver<Vec<u8>>) -> String {
    let text = said.recv_timeout(Duration::from_millis(500)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() {
        String::new()
    } else {
        format!("; its last messages:\n{}", last.join("\n"))
    }
}
