//! The one owner of stdout and stderr.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use miette::Diagnostic;

use super::exit::Exit;
use super::failure::{Failure, Line, lines};
use crate::base::cut::harmless;

/// Writes all output of the program: data to stdout, everything else to stderr.
#[derive(Debug)]
pub struct Printer {
    quiet: bool,
    verbose: bool,
    /// Whether stderr is a terminal, where bars can be drawn.
    live: bool,
    colour: bool,
    bars: MultiProgress,
}

impl Printer {
    /// Reads the settings of the terminals and the environment.
    pub fn new(quiet: bool, verbose: bool) -> Printer {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let terminal =
            io::stderr().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb");
        let live = terminal && !quiet;
        let target = if live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Printer {
            quiet,
            verbose,
            live,
            colour: terminal && variable("NO_COLOR").is_none(),
            bars: MultiProgress::with_draw_target(target),
        }
    }

    /// Returns whether bars can be drawn.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Returns whether the user wants more detail.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Returns where bars are drawn.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Returns the columns that a table on stdout may use: `COLUMNS` if set, else the terminal's;
    /// `None` if there is no limit.
    pub fn width(&self) -> Option<u16> {
        let given = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&columns| columns > 0);
        given.or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0))
    }

    /// Writes data to stdout. A reader that went away (`pipe show | head`) is no error.
    pub fn data(&self, text: &str) -> Result<Exit, Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(Exit::Success),
        }
    }

    /// Writes a status line, unless `--quiet` is given.
    pub fn status(&self, line: &str) {
        if !self.quiet {
            self.stderr(&harmless(line));
        }
    }

    /// Writes a line that is shown with `--verbose` only.
    pub fn detail(&self, line: &str) {
        if self.verbose {
            self.stderr(&harmless(line));
        }
    }

    /// Writes a warning.
    pub fn warning(&self, line: &str) {
        self.stderr(&format!("{} {}", self.paint("warning:", "33;1"), harmless(line)));
    }

    /// Writes an error with its causes and its hints.
    pub fn error(&self, error: &dyn Diagnostic) {
        for line in lines(error) {
            self.stderr(&match line {
                Line::Error(text) => {
                    format!("{} {}", self.paint("error:", "31;1"), harmless(&text))
                }
                Line::Cause(text) => {
                    format!("  {} {}", self.paint("caused by:", "1"), harmless(&text))
                }
                Line::Hint(text) => {
                    format!("  {} {}", self.paint("hint:", "36;1"), harmless(&text))
                }
            });
        }
    }

    /// Writes the failure that ends a command.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Spec(error) => {
                let columns =
                    terminal_size::terminal_size_of(io::stderr()).map_or(100, |(width, _)| width.0);
                self.stderr(error.render(usize::from(columns), self.colour).trim_end());
            }
            Failure::Stages(failures) => failures.iter().for_each(|failure| self.error(failure)),
            Failure::Other { error, .. } => self.error(&**error),
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A failed write to stderr is ignored: there is no other place to report it.
    fn stderr(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }
}
