//! The progress of a run: a bar per running stage, or plain lines without a terminal.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::bar::Bar;
use super::printer::Printer;
use crate::base::clock;
use crate::base::cut::visible_line;
use crate::base::report::{Progress, Report};
use crate::runner::{Event, Observer};

/// Draws the progress of a run.
pub struct RunProgress<'a> {
    printer: &'a Printer,
    /// The bars of running tasks, by label.
    bars: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    bar: Bar,
    /// The activity shown last; without a terminal, only its changes are printed.
    activity: String,
}

impl<'a> RunProgress<'a> {
    pub fn new(printer: &'a Printer) -> RunProgress<'a> {
        RunProgress { printer, bars: Mutex::default() }
    }

    fn with_bar(&self, task: &str, change: impl FnOnce(&mut Running)) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(task.to_owned()).or_insert_with(|| {
            let bar = self.printer.bar(None);
            bar.set_prefix(task);
            bar.set_style("{prefix}  {spinner} {elapsed}  {msg}");
            Running { bar, activity: String::new() }
        });
        change(bar);
    }

    fn end(&self, task: &str) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(task) {
            bar.bar.clear();
        }
    }
}

impl Observer for RunProgress<'_> {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::RunStarted { run, .. } => self.printer.detail(&format!("run {run}")),
            // Only users who look into the cache need the key.
            Event::StageCached { task, key } if self.printer.is_verbose() => {
                self.printer.status(&format!("{task}: cached ({})", &key[..8.min(key.len())]));
            }
            Event::StageCached { task, .. } => self.printer.status(&format!("{task}: cached")),
            Event::StageStarted { task, .. } => {
                if self.printer.is_live() {
                    self.with_bar(task, |bar| {
                        bar.bar.tick_every(std::time::Duration::from_millis(100))
                    });
                } else {
                    self.printer.status(&format!("{task}: started"));
                }
            }
            Event::StageFinished { task, seconds, .. } => {
                self.end(task);
                self.printer.status(&format!("{task}: done in {}", clock::duration(seconds)));
            }
            Event::StageFailed { task, .. } => {
                self.end(task);
                self.printer.status(&format!("{task}: failed"));
            }
            Event::StageInterrupted { task } => {
                self.end(task);
                self.printer.status(&format!("{task}: stopped"));
            }
            Event::Note { task, line } => self.printer.status(&format!("{task}: {line}")),
            Event::Warning { task, line } => self.printer.warning(&format!("{task}: {line}")),
            Event::RunFinished { .. }
            | Event::SweepStarted { .. }
            | Event::CellStarted { .. }
            | Event::CellFinished { .. }
            | Event::TrialFinished { .. } => {}
        }
    }

    fn progress(&self, task: &str, progress: &Progress<'_>) {
        self.with_bar(task, |bar| {
            if bar.activity != progress.activity {
                bar.activity = progress.activity.to_owned();
                bar.bar.set_style(&bar_style(progress));
            }
            if let Some(total) = progress.total {
                bar.bar.set_total(total);
            }
            bar.bar.set_done(progress.done);
            bar.bar.set_message(progress.detail);
        });
    }
}

/// Progress of the work before a run: finding and installing the runtime.
pub struct Preparation<'a> {
    progress: RunProgress<'a>,
    told: Mutex<String>,
}

impl<'a> Preparation<'a> {
    pub fn new(printer: &'a Printer) -> Preparation<'a> {
        Preparation { progress: RunProgress::new(printer), told: Mutex::default() }
    }
}

impl Drop for Preparation<'_> {
    fn drop(&mut self) {
        self.progress.end("pipe");
    }
}

impl Report for Preparation<'_> {
    fn progress(&self, progress: &Progress<'_>) {
        if self.progress.printer.is_live() {
            return Observer::progress(&self.progress, "pipe", progress);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != progress.activity {
            *told = progress.activity.to_owned();
            self.progress.printer.status(progress.activity);
        }
    }

    fn note(&self, line: &str) {
        self.progress.printer.status(line);
    }

    fn warn(&self, line: &str) {
        self.progress.printer.warning(line);
    }
}

fn bar_style(progress: &Progress<'_>) -> String {
    // The activity and the unit come from the stages; braces would be read as placeholders, and so
    // would those of `\u{1b}`.
    let clean = |text: &str| -> String {
        let is_plain = |c: &char| visible_line(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8();
        text.chars().filter(|c| !"{}".contains(*c) && is_plain(c)).collect()
    };
    let (activity, unit) = (clean(progress.activity), clean(progress.unit));
    let amounts = match (progress.unit, progress.total.is_some()) {
        ("bytes", true) => "{bytes}/{total_bytes} {bytes_per_sec}".to_owned(),
        ("bytes", false) => "{bytes} {bytes_per_sec}".to_owned(),
        (_, true) => format!("{{pos}}/{{len}} {unit} {{rate}}"),
        (_, false) => format!("{{pos}} {unit} {{rate}}"),
    };
    match progress.total {
        Some(_) => {
            format!("{{prefix}}  {activity} {{wide_bar}} {amounts} {{msg}} eta {{eta}}")
        }
        None => format!("{{prefix}}  {{spinner}} {activity} {amounts} {{msg}}"),
    }
}
