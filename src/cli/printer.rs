//! The one owner of stdout and stderr.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{MultiProgress, ProgressDrawTarget};
use miette::Diagnostic;

use super::bar::Bar;
use super::exit::Exit;
use super::failure::{Failure, Line, lines};
use crate::base::cut::visible;
use crate::base::paint::{Colour, Painted};

/// What a command writes to stdout.
#[derive(Clone, Debug)]
pub enum Output {
    /// Text to read. No character of a label, a text or a name steers the terminal.
    People(String),
    /// Data for programs, byte for byte: JSON, CSV, scripts.
    Programs(String),
}

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

    /// Adds a bar. Bars are invisible where none can be drawn.
    pub fn bar(&self, total: Option<u64>) -> Bar {
        Bar::new(&self.bars, total)
    }

    /// Returns all bars, for those who must remove them or write beside them.
    pub(super) fn bars(&self) -> &MultiProgress {
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

    /// Writes to stdout. A reader that went away (`pipe show | head`) is no error.
    pub fn print(&self, output: &Output) -> Result<Exit, Failure> {
        let text = match output {
            Output::People(text) => visible(text),
            Output::Programs(text) => Cow::Borrowed(text.as_str()),
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(Exit::Success),
        }
    }

    /// Writes a text for people to stdout.
    pub fn text(&self, text: impl Into<String>) -> Result<Exit, Failure> {
        self.print(&Output::People(text.into()))
    }

    /// Writes data for programs to stdout, as they are.
    pub fn data(&self, text: impl Into<String>) -> Result<Exit, Failure> {
        self.print(&Output::Programs(text.into()))
    }

    /// Writes the path of a written file to stdout: as it is for a program, shown for a terminal.
    pub fn path(&self, path: &Path) -> Result<Exit, Failure> {
        let line = format!("{}\n", path.display());
        if io::stdout().is_terminal() { self.text(line) } else { self.data(line) }
    }

    /// Writes a status line, unless `--quiet` is given.
    pub fn status(&self, line: &str) {
        if !self.quiet {
            self.stderr(&Painted::plain(line));
        }
    }

    /// Writes a line that is shown with `--verbose` only.
    pub fn detail(&self, line: &str) {
        if self.verbose {
            self.stderr(&Painted::plain(line));
        }
    }

    /// Writes a warning.
    pub fn warning(&self, line: &str) {
        self.stderr(&labelled("", Colour::Yellow, "warning:", line));
    }

    /// Writes an error with its causes and its hints.
    pub fn error(&self, error: &dyn Diagnostic) {
        for line in lines(error) {
            self.stderr(&match line {
                Line::Error(text) => labelled("", Colour::Red, "error:", &text),
                Line::Cause(text) => labelled("  ", Colour::Bold, "caused by:", &text),
                Line::Hint(text) => labelled("  ", Colour::Cyan, "hint:", &text),
            });
        }
    }

    /// Writes the failure that ends a command.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Spec(error) => {
                let columns =
                    terminal_size::terminal_size_of(io::stderr()).map_or(100, |(width, _)| width.0);
                self.stderr(&error.painted(usize::from(columns)));
            }
            Failure::Stages(failures) => failures.iter().for_each(|failure| self.error(failure)),
            Failure::Other { error, .. } => self.error(&**error),
        }
    }

    /// The one door to stderr. A failed write is ignored: there is no other place to report it.
    fn stderr(&self, text: &Painted) {
        let text = text.text(self.colour);
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
        });
    }
}

fn labelled(indent: &str, colour: Colour, label: &str, text: &str) -> Painted {
    let mut line = Painted::plain(indent);
    line.paint(colour, label);
    // Lines of a quoted text do not stand where the program's own begin.
    line.push(format!(" {}", text.replace('\n', &format!("\n{indent}    "))));
    line
}
