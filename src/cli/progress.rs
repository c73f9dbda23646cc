//! The progress of a run: a bar per running stage, or plain lines without a terminal.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::printer::Printer;
use crate::base::clock;
use crate::base::report::{Progress, Report};
use crate::runner::{Event, Observer};

/// Draws the progress of a run.
pub struct RunProgress<'a> {
    printer: &'a Printer,
    /// The bars of running tasks, by label.
    bars: Mutex<BTreeMap<String, Bar>>,
}

struct Bar {
    bar: ProgressBar,
    /// The activity shown last; without a terminal, only its changes are printed.
    activity: String,
}

impl<'a> RunProgress<'a> {
    pub fn new(printer: &'a Printer) -> RunProgress<'a> {
        RunProgress { printer, bars: Mutex::default() }
    }

    fn with_bar(&self, task: &str, change: impl FnOnce(&mut Bar)) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(task.to_owned()).or_insert_with(|| {
            let bar = self.printer.bars().add(ProgressBar::new_spinner());
            bar.set_prefix(task.to_owned());
            bar.set_style(style("{prefix}  {spinner} {elapsed}  {msg}"));
            Bar { bar, activity: String::new() }
        });
        change(bar);
    }

    fn end(&self, task: &str) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(task) {
            bar.bar.finish_and_clear();
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
                        bar.bar.enable_steady_tick(std::time::Duration::from_millis(100))
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
                bar.bar.set_style(bar_style(progress));
            }
            if let Some(total) = progress.total {
                bar.bar.set_length(total);
            }
            bar.bar.set_position(progress.done);
            bar.bar.set_message(progress.detail.to_owned());
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

fn bar_style(progress: &Progress<'_>) -> ProgressStyle {
    // The activity and the unit come from the stages; braces would be read as placeholders.
    let clean = |text: &str| text.replace(['{', '}'], "");
    let (activity, unit) = (clean(progress.activity), clean(progress.unit));
    let amounts = match (progress.unit, progress.total.is_some()) {
        ("bytes", true) => "{bytes}/{total_bytes} {bytes_per_sec}".to_owned(),
        ("bytes", false) => "{bytes} {bytes_per_sec}".to_owned(),
        (_, true) => format!("{{pos}}/{{len}} {unit} {{rate}}"),
        (_, false) => format!("{{pos}} {unit} {{rate}}"),
    };
    match progress.total {
        Some(_) => {
            style(&format!("{{prefix}}  {activity} {{wide_bar}} {amounts} {{msg}} eta {{eta}}"))
        }
        None => style(&format!("{{prefix}}  {{spinner}} {activity} {amounts} {{msg}}")),
    }
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The library's own rate has four decimals, which flicker.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
}
