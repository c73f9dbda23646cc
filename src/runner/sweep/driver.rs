//! Runs a sweep: asks the search for work, distributes it to workers, and reports the results.

use super::told::{Outcomes, Told};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cell::{Cell, ELSEWHERE, Ended, Finished, Model, Runner};
use super::common::Common;
use super::folder::TrialFolder;
use super::trial::Trial;
use crate::base::clock::Stopwatch;
use crate::base::digest::Digest;
use crate::engine::Device;
use crate::runner::cache::lock::UseLock;
use crate::runner::error::RunError;
use crate::runner::observer::{Event, Observer};
use crate::runner::record::provenance::DROPPED;
use crate::search::config::KeepModels;
use crate::search::{Next, Outcome, Request, Search};

/// Runs a sweep.
pub(super) struct Driver<'a> {
    pub common: &'a Common<'a>,
    pub runner: &'a Runner<'a>,
    pub folder: &'a TrialFolder<'a>,
    pub observer: &'a dyn Observer,
}

struct State {
    search: Search,
    trials: Vec<Arc<Trial>>,
    queue: VecDeque<Cell>,
    /// Cells that another worker or process computes.
    elsewhere: VecDeque<Cell>,
    running: usize,
    /// The results of each open request, by seed.
    parts: BTreeMap<(usize, Option<u32>), Part>,
    outcomes: Outcomes,
    best: Option<(usize, f64)>,
    /// Models that nothing needs any more, unless the best trial uses them.
    doomed: Vec<Model>,
    /// The trial of each model.
    models: BTreeMap<Digest, usize>,
    /// Whether trials share models, so that a later trial may need any of them.
    shares_models: bool,
    stopped: bool,
    /// The number of workers that have not ended.
    active: usize,
}

/// The cells of a request.
struct Part {
    stopwatch: Stopwatch,
    cells: BTreeMap<usize, Finished>,
}

/// Reports the end of a worker, even after a panic.
struct Leaving<'a> {
    state: &'a Mutex<State>,
    changed: &'a Condvar,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        lock(self.state).active -= 1;
        self.changed.notify_all();
    }
}

/// The interval between checks for an interruption.
const WATCH: Duration = Duration::from_millis(100);

impl Driver<'_> {
    /// Runs the sweep to its end or to an interruption.
    pub(super) fn run(&self) -> Outcomes {
        let state = Mutex::new(State {
            search: self.common.search(),
            trials: Vec::new(),
            queue: VecDeque::new(),
            elsewhere: VecDeque::new(),
            running: 0,
            parts: BTreeMap::new(),
            outcomes: Outcomes::default(),
            best: None,
            doomed: Vec::new(),
            models: BTreeMap::new(),
            shares_models: false,
            stopped: false,
            active: self.common.settings.workers.max(1),
        });
        let changed = Condvar::new();
        std::thread::scope(|scope| {
            let start = std::thread::Builder::new;
            // Without a thread for it, the models stay until `pipe gc` collects them.
            let _ = start().spawn_scoped(scope, || self.drop_models(&state, &changed));
            for worker in 0..self.common.settings.workers.max(1) {
                let devices = &self.common.settings.devices;
                let device =
                    devices.get(worker % devices.len().max(1)).copied().unwrap_or_default();
                let (state, changed) = (&state, &changed);
                let work = move || {
                    let _leaving = Leaving { state, changed };
                    self.work(state, changed, device);
                };
                // Without another thread the work is done by fewer, and if need be by this one.
                match start().spawn_scoped(scope, work) {
                    Ok(_) => {}
                    Err(_) if worker == 0 => work(),
                    Err(_) => drop(Leaving { state, changed }),
                }
            }
        });
        state.into_inner().unwrap_or_else(PoisonError::into_inner).outcomes
    }

    fn work(&self, state: &Mutex<State>, changed: &Condvar, device: Device) {
        while let Some((trial, cell)) = self.take(state, changed) {
            self.observer.event(&Event::CellStarted {
                trial: trial.number,
                seed: cell.seed,
                epochs: cell.request.epochs,
            });
            let ended = self.runner.run(&trial, cell, device);
            let is_done = matches!(ended, Ended::Done(_));
            self.observer.event(&Event::CellFinished {
                trial: trial.number,
                seed: cell.seed,
                is_done,
            });
            let is_elsewhere = matches!(ended, Ended::Elsewhere);
            let whole = match ended {
                Ended::Done(finished) => {
                    let mut state = lock(state);
                    let is_last = finished.error.is_some() && self.common.settings.fail_fast;
                    state.stopped |= is_last;
                    state.take_in(&trial, cell, *finished, &self.common.settings.seeds, is_last)
                }
                Ended::Elsewhere => {
                    lock(state).elsewhere.push_back(cell);
                    None
                }
                Ended::Interrupted => {
                    lock(state).stopped = true;
                    None
                }
            };
            // A trial is written to the disk before the search receives its figure, and while
            // others work.
            let told =
                whole.map(|part| (part.stopwatch.seconds(), self.told(&trial, cell.request, part)));
            let written = told.as_ref().map_or(Ok(()), |(_, told)| self.folder.write(told));
            let mut state = lock(state);
            state.running -= 1;
            if let Err(error) = written {
                // A full disk stays full, so the sweep stops.
                state.stopped = true;
                state.outcomes.error.get_or_insert(error);
            }
            if let Some((seconds, told)) = told {
                self.enter(&mut state, cell.request, told, seconds);
            }
            drop(state);
            if !is_elsewhere {
                changed.notify_all();
            }
        }
    }

    /// Waits for a cell to run; `None` if there will be no more.
    fn take(&self, state: &Mutex<State>, changed: &Condvar) -> Option<(Arc<Trial>, Cell)> {
        let mut state = lock(state);
        loop {
            if state.stopped || self.runner.interrupt.is_asked() {
                return None;
            }
            if let Some(cell) = state.queue.pop_front() {
                state.running += 1;
                return Some((state.trials[cell.request.trial].clone(), cell));
            }
            let next = state.search.ask();
            if let Next::Run(request) = next {
                self.begin(&mut state, request);
                continue;
            }
            let mut patience = WATCH;
            if state.elsewhere.is_empty() && state.running == 0 {
                state.outcomes.is_complete = next == Next::Done;
                return None;
            }
            if !state.elsewhere.is_empty() {
                // These cells are checked in turn: one may be finished by now, or its owner may be
                // gone.
                patience = ELSEWHERE;
            }
            let waited = changed.wait_timeout(state, patience);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            // Only after a timeout: a worker woken by another would retry a cell that has just been
            // refused.
            if waited.timed_out()
                && let Some(cell) = state.elsewhere.pop_front()
            {
                state.queue.push_back(cell);
            }
        }
    }

    fn begin(&self, state: &mut State, request: Request) {
        if request.trial == state.trials.len() {
            let point = state.search.point(request.trial).clone();
            state.trials.push(Arc::new(self.common.trial(request.trial, &point)));
        }
        let part = Part { stopwatch: Stopwatch::start(), cells: BTreeMap::new() };
        state.parts.insert((request.trial, request.epochs), part);
        let seeds = self.common.settings.seeds.iter();
        state.queue.extend(seeds.map(|&seed| Cell { request, seed }));
    }

    /// Records the results of a trial and passes its figure to the search.
    fn enter(&self, state: &mut State, request: Request, told: Told, seconds: f64) {
        let trial = &told.trial;
        let goal = self.common.metric().map(|(_, goal)| goal);
        let outcome = match (told.figure, goal, &told.error) {
            (Some(figure), Some(goal), _) => Outcome::Value(goal.minimised(figure)),
            // Without a metric nothing is compared.
            (None, None, None) => Outcome::Value(0.0),
            _ => Outcome::Failed,
        };
        state.search.tell(request, outcome);
        if let (Some(figure), Some(goal), None) = (told.figure, goal, told.epochs) {
            let is_better = |best: f64| goal.minimised(figure) < goal.minimised(best);
            // Of equals, the first in order, not the first to finish.
            let replaces = state.best.is_none_or(|(number, best)| {
                is_better(best) || (figure == best && trial.number < number)
            });
            if replaces {
                state.best = Some((trial.number, figure));
            }
        }
        let number = trial.number;
        self.observer.event(&Event::TrialFinished {
            trial: number,
            values: &trial.label(),
            epochs: told.epochs,
            figure: told.figure,
            error: told.error.as_deref(),
            cached: told.cached,
            seconds,
            best: state.best,
        });
        state.outcomes.trials.insert(number, told);
        self.doom(state, number, request);
        if let Err(error) = self.folder.refresh(&state.outcomes) {
            state.stopped = true;
            state.outcomes.error.get_or_insert(error);
        }
    }

    /// Finds the models that nothing reads any more after a trial: those of paused trainings, and
    /// those of trials that are not the best.
    fn doom(&self, state: &mut State, number: usize, request: Request) {
        let Some(told) = state.outcomes.trials.get_mut(&number) else { return };
        for &key in &told.all_models {
            state.shares_models |= *state.models.entry(key).or_insert(number) != number;
        }
        let keeps_all =
            self.common.sweep.keep_models == KeepModels::All || self.common.metric().is_none();
        let is_best = state.best.is_some_and(|(best, _)| best == number);
        match request.epochs {
            Some(_) => state.doomed.append(&mut told.models),
            // A model that could not be evaluated is kept, so that it is not trained again.
            None if keeps_all || told.error.is_some() => {}
            None if !is_best => state.doomed.append(&mut told.models),
            None => {
                let others =
                    state.outcomes.trials.values_mut().filter(|other| other.trial.number != number);
                let sound = others.filter(|other| other.error.is_none());
                sound.for_each(|other| state.doomed.append(&mut other.models));
            }
        }
    }

    /// Deletes doomed models while the workers run, until they have ended; figures and curves stay.
    fn drop_models(&self, state: &Mutex<State>, changed: &Condvar) {
        let mut held = lock(state);
        loop {
            let is_over = held.active == 0;
            let doomed =
                if held.shares_models && !is_over { Vec::new() } else { held.take_doomed() };
            if doomed.is_empty() {
                if is_over {
                    return;
                }
                held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(held);
            let dropped = self.strip(&doomed);
            held = lock(state);
            match dropped {
                Ok(Some(dropped)) => held.note_dropped(&dropped),
                Ok(None) => {
                    held.doomed.extend(doomed);
                    if is_over {
                        return;
                    }
                    let waited = changed.wait_timeout(held, WATCH);
                    held = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Err(error) => {
                    held.stopped = true;
                    held.outcomes.error.get_or_insert(error);
                }
            }
        }
    }

    /// Deletes model files except figures and curves; returns the keys that were stripped. `None`
    /// while a `pipe run` is in progress, which may be about to read one.
    fn strip(&self, doomed: &[Model]) -> Result<Option<Vec<Digest>>, RunError> {
        let Some(_alone) = UseLock::alone(&self.common.ground.project)? else { return Ok(None) };
        let cache = &self.common.ground.cache;
        let mut dropped = Vec::new();
        for Model { key, records } in doomed {
            // A holder of the lock is recomputing it.
            let Some(_lock) = cache.lock(key, || {}, || true)? else { continue };
            cache.strip(key, records)?;
            dropped.push(*key);
        }
        Ok(Some(dropped))
    }

    /// Merges the cells of a request.
    fn told(&self, trial: &Arc<Trial>, request: Request, part: Part) -> Told {
        let mut told = Told {
            trial: trial.clone(),
            epochs: request.epochs,
            rows: Vec::new(),
            records: Vec::new(),
            figure: None,
            error: None,
            cached: true,
            all_models: Vec::new(),
            models: Vec::new(),
        };
        let mut figures = Vec::new();
        for (place, finished) in part.cells {
            let seed = self.common.settings.seeds.get(place).copied().unwrap_or_default();
            told.cached &= finished.cached;
            figures.extend(finished.figure);
            let rows = self.folder.rows(trial, seed, &finished);
            told.rows.extend(rows);
            told.records.extend(finished.records);
            told.all_models.extend(finished.all_models);
            told.models.extend(finished.models);
            if let (None, Some(error)) = (&told.error, finished.error) {
                told.error = Some(error);
            }
        }
        let seeds = self.common.settings.seeds.len();
        if told.error.is_none() && figures.len() == seeds && seeds > 0 {
            told.figure = Some(figures.iter().sum::<f64>() / seeds as f64);
        }
        told
    }
}

impl State {
    /// Takes the models that nothing needs any more, except those of the best trial.
    fn take_doomed(&mut self) -> Vec<Model> {
        let best = self.best.and_then(|(best, _)| self.outcomes.trials.get(&best));
        let spared = best.map_or_else(Vec::new, |best| best.all_models.clone());
        let (spared, gone) = std::mem::take(&mut self.doomed)
            .into_iter()
            .partition(|model| spared.contains(&model.key));
        self.doomed = spared;
        gone
    }

    /// Marks the dropped models in the records of the trials.
    fn note_dropped(&mut self, dropped: &[Digest]) {
        for told in self.outcomes.trials.values_mut() {
            let records = told.records.iter_mut().filter(|record| dropped.contains(&record.key));
            records.for_each(|record| record.outcome = DROPPED.to_owned());
        }
    }

    /// Records the results of a cell; with the last seed, returns all results of its request.
    fn take_in(
        &mut self,
        trial: &Trial,
        cell: Cell,
        finished: Finished,
        seeds: &[u64],
        is_last: bool,
    ) -> Option<Part> {
        match finished.cached {
            true => self.outcomes.cached += 1,
            false => self.outcomes.computed += 1,
        }
        self.outcomes.work_keys.extend(&finished.work_keys);
        let key = (trial.number, cell.request.epochs);
        let part = self.parts.get_mut(&key)?;
        let place = seeds.iter().position(|&seed| seed == cell.seed).unwrap_or(0);
        part.cells.insert(place, finished);
        if part.cells.len() < seeds.len() && !is_last {
            return None;
        }
        self.parts.remove(&key)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
