//! The progress of a sweep: a bar over all trials and one for each running training, or one line
//! per trial without a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bar::Bar;
use super::printer::Printer;
use crate::base::clock;
use crate::base::report::Progress;
use crate::runner::{Event, Observer};

/// Draws the progress of a sweep.
pub struct SweepProgress<'a> {
    printer: &'a Printer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    overall: Option<Bar>,
    /// The bars of running trainings, by trial and seed.
    running: BTreeMap<(usize, u64), Bar>,
    /// Warnings already shown: thirty trials would repeat the same one thirty times.
    warned: BTreeSet<String>,
}

impl<'a> SweepProgress<'a> {
    pub fn new(printer: &'a Printer) -> SweepProgress<'a> {
        SweepProgress { printer, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, trials: usize, seeds: usize, trainings: Option<usize>) {
        let each = if seeds == 1 { String::new() } else { format!(" for {seeds} seeds each") };
        self.printer.detail(&format!("up to {trials} trials{each}"));
        if self.printer.is_live() {
            // How many rungs trials will reach may be unknown.
            let bar = self.printer.bar(trainings.map(|trainings| trainings as u64));
            bar.set_style(match trainings {
                Some(_) => "{wide_bar} {pos}/{len} trainings  {msg}  {elapsed} eta {eta}",
                None => "{spinner} {pos} trainings  {msg}  {elapsed}",
            });
            bar.tick_every(Duration::from_millis(500));
            self.state().overall = Some(bar);
        }
    }

    fn trial(&self, event: &Event<'_>) {
        let Event::TrialFinished { trial, values, epochs, figure, error, cached, seconds, best } =
            *event
        else {
            return;
        };
        let best_text = best
            .map(|(trial, value)| format!("best {value:.4} (trial {trial})"))
            .unwrap_or_default();
        if let Some(bar) = &self.state().overall {
            bar.set_message(&best_text);
        }
        // A line for every cached trial would flood the terminal.
        if cached && !self.printer.is_verbose() {
            return;
        }
        let after = epochs
            .map(|epochs| match epochs {
                1 => " after 1 epoch".to_owned(),
                _ => format!(" after {epochs} epochs"),
            })
            .unwrap_or_default();
        let values = if values.is_empty() { String::new() } else { format!(" ({values})") };
        let outcome = match (error, figure) {
            (Some(error), _) => format!("failed: {error}"),
            (None, Some(figure)) => format!("{figure:.4}{after}"),
            (None, None) => "done".to_owned(),
        };
        let best_text = if best_text.is_empty() { best_text } else { format!("; {best_text}") };
        self.printer.status(&format!(
            "trial {trial}{values}: {outcome} in {}{best_text}",
            clock::duration(seconds)
        ));
    }
}

impl Observer for SweepProgress<'_> {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::SweepStarted { trials, seeds, trainings, .. } => {
                self.start(trials, seeds, trainings)
            }
            Event::CellStarted { trial, seed, .. } if self.printer.is_live() => {
                let bar = self.printer.bar(None);
                bar.set_style("{spinner} {prefix}  {msg}");
                bar.set_prefix(&format!("trial {trial}, seed {seed}"));
                self.state().running.insert((trial, seed), bar);
            }
            Event::CellFinished { trial, seed, is_done } => {
                let mut state = self.state();
                if let Some(bar) = state.running.remove(&(trial, seed)) {
                    bar.clear();
                }
                if let Some(bar) = state.overall.as_ref().filter(|_| is_done) {
                    bar.add_one();
                }
            }
            Event::TrialFinished { .. } => self.trial(event),
            Event::Warning { task, line } if self.state().warned.insert(line.to_owned()) => {
                self.printer.warning(&format!("{task}: {line}"));
            }
            Event::StageFinished { task, seconds, .. } => {
                self.printer.detail(&format!("{task}: done in {}", clock::duration(seconds)));
            }
            Event::Note { task, line } => self.printer.detail(&format!("{task}: {line}")),
            Event::RunFinished { .. } => {
                if let Some(bar) = self.state().overall.take() {
                    bar.clear();
                }
            }
            _ => {}
        }
    }

    fn progress(&self, task: &str, progress: &Progress<'_>) {
        let state = self.state();
        let bar = state.running.iter().find(|((trial, seed), _)| {
            task.strip_prefix(&format!("trial {trial}, seed {seed}: ")).is_some()
        });
        if let Some((_, bar)) = bar {
            let stage = task.rsplit(": ").next().unwrap_or(task);
            let amount = match progress.total {
                Some(total) => format!("{}/{total}", progress.done),
                None => progress.done.to_string(),
            };
            bar.set_message(&format!(
                "{stage}: {} {amount} {}  {}",
                progress.activity, progress.unit, progress.detail
            ));
            bar.tick();
        }
    }
}
