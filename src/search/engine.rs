//! A search as a whole: it is asked what to run and told what came out.

use std::collections::BTreeMap;

use super::config::{Method, Sample, Stop, Sweep};
use super::rule::{self, Climb, Move, Rule};
use super::sampler::Sampler;
use super::space::{Observation, Outcome, Point, Space};
use super::{gaussian_process, grid, tpe};

/// A search as a whole: asked for work by [`Search::next`], told of outcomes by [`Search::tell`].
///
/// The same settings and outcomes give the same trials, whatever the order and the number in which outcomes come in: the k-th piece of work is chosen
/// when the outcomes of all but the last few before it are there, in their order, and from nothing else. How many are left out is a setting.
#[derive(Debug)]
pub struct Search {
    space: Space,
    sampler: Sampler,
    rule: Rule,
    seed: u64,
    /// The most trials.
    limit: usize,
    /// How many pieces of work may be under way.
    pending: usize,
    points: Vec<Point>,
    trials: Vec<Climb>,
    /// What was asked for, in order: a trial and its rung.
    asked: Vec<(usize, usize)>,
    /// How many outcomes have entered, in the order of `asked`.
    entered: usize,
    /// Outcomes that have not entered yet.
    told: BTreeMap<(usize, usize), Outcome>,
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub trial: usize,
    /// Train this far; `None` for to the end.
    pub epochs: Option<u32>,
}

/// What a search says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Run(Request),
    /// An outcome that is still missing decides.
    Wait,
    Done,
}

impl Search {
    /// Begins a search. `max_epochs` is how long a whole training is, for methods that end some early.
    pub fn new(sweep: &Sweep, space: Space, seed: u64, max_epochs: u32) -> Search {
        let of_sample = |sample: Sample| match sample {
            Sample::Grid => Sampler::Grid(grid::points(&space)),
            Sample::Random => Sampler::Random,
            Sample::QuasiRandom => Sampler::QuasiRandom,
            Sample::Tpe => Sampler::Tpe(tpe::Settings::default()),
        };
        let (sampler, trials, mut pending) = match &sweep.method {
            Method::Grid => (of_sample(Sample::Grid), usize::MAX, usize::MAX),
            Method::Random(random) => (Sampler::Random, random.trials, usize::MAX),
            Method::QuasiRandom(quasi) => (Sampler::QuasiRandom, quasi.trials, usize::MAX),
            Method::Tpe(of) => {
                let settings = tpe::Settings { startup_trials: of.startup_trials, ..Default::default() };
                (Sampler::Tpe(settings), of.trials, of.pending)
            }
            Method::Gp(of) => {
                let settings =
                    gaussian_process::Settings { startup_trials: of.startup_trials, ..Default::default() };
                (Sampler::GaussianProcess(settings), of.trials, of.pending)
            }
            Method::Asha(asha) => {
                let trials = if asha.sample == Sample::Grid { usize::MAX } else { asha.trials };
                (of_sample(asha.sample), trials, asha.pending)
            }
            Method::Hyperband(hyperband) => (of_sample(hyperband.sample), usize::MAX, usize::MAX),
        };
        let rule = match (&sweep.method, &sweep.stop) {
            (Method::Asha(asha), _) => Rule::Asha {
                ladder: rule::geometric_ladder(asha.min_epochs, asha.reduction, max_epochs),
                reduction: asha.reduction as usize,
            },
            (Method::Hyperband(of), _) => Rule::Hyperband {
                brackets: rule::brackets(of.min_epochs, of.reduction, max_epochs),
                reduction: of.reduction as usize,
            },
            (_, Some(Stop::Median(median))) => {
                pending = pending.min(median.pending);
                Rule::Median {
                    ladder: rule::even_ladder(median.min_epochs, median.interval, max_epochs),
                    startup_trials: median.startup_trials,
                }
            }
            (_, None) => Rule::Full,
        };
        let trials = match (&rule, &sampler) {
            (Rule::Hyperband { brackets, .. }, _) => brackets.iter().map(|bracket| bracket.trials).sum(),
            _ => trials,
        };
        let trials = if let Sampler::Grid(points) = &sampler { trials.min(points.len()) } else { trials };
        Search {
            space,
            sampler,
            rule,
            seed,
            limit: trials.min(sweep.run_cap.unwrap_or(usize::MAX)),
            pending: pending.max(1),
            points: Vec::new(),
            trials: Vec::new(),
            asked: Vec::new(),
            entered: 0,
            told: BTreeMap::new(),
        }
    }

    /// Returns how many trials there will be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many pieces of work may be under way; `None` where any number may.
    pub fn pending(&self) -> Option<usize> {
        (self.pending < usize::MAX).then_some(self.pending)
    }

    /// Says whether every trial can be listed before any runs.
    pub fn is_listable(&self) -> bool {
        self.rule == Rule::Full && self.pending == usize::MAX
    }

    /// Returns the point of a trial that has begun.
    pub fn point(&self, trial: usize) -> &Point {
        &self.points[trial]
    }

    /// Returns what to run next.
    pub fn next(&mut self) -> Next {
        loop {
            while self.entered < (self.asked.len() + 1).saturating_sub(self.pending) {
                if !self.enter() {
                    return Next::Wait;
                }
            }
            let new = self.trials.len() < self.limit;
            let all = self.entered == self.asked.len();
            match self.rule.next(&mut self.trials, new, all) {
                Some(Move::GoOn(trial)) => return Next::Run(self.ask(trial)),
                Some(Move::Begin) => {
                    let trial = self.trials.len();
                    let history = self.history();
                    match self.sampler.point(&self.space, self.seed, trial, &history) {
                        Some(point) => {
                            self.points.push(point);
                            self.trials.push(Climb::new(self.rule.ladder(trial)));
                            return Next::Run(self.ask(trial));
                        }
                        None => self.limit = trial,
                    }
                }
                None if all => return Next::Done,
                None => {
                    if !self.enter() {
                        return Next::Wait;
                    }
                }
            }
        }
    }

    /// Takes the outcome of a piece of work.
    pub fn tell(&mut self, request: Request, outcome: Outcome) {
        let rung = self
            .trials
            .get(request.trial)
            .and_then(|trial| trial.ladder.iter().position(|epochs| *epochs == request.epochs));
        if let Some(rung) = rung {
            self.told.insert((request.trial, rung), outcome);
        }
    }

    fn ask(&mut self, trial: usize) -> Request {
        let climb = &mut self.trials[trial];
        let rung = climb.asked;
        climb.asked += 1;
        self.asked.push((trial, rung));
        Request { trial, epochs: self.trials[trial].ladder[rung] }
    }

    /// Lets the next outcome enter; `false` where it is not there yet.
    fn enter(&mut self) -> bool {
        let Some(&(trial, rung)) = self.asked.get(self.entered) else { return false };
        let Some(outcome) = self.told.remove(&(trial, rung)) else { return false };
        self.entered += 1;
        self.trials[trial].outcomes.push(outcome);
        // One that failed on its way does not go on.
        self.trials[trial].is_over |= outcome == Outcome::Failed;
        true
    }

    /// Returns what a sampler may know: of each trial the outcome at the highest rung that enough trials have reached to be compared.
    fn history(&self) -> Vec<Observation> {
        let rungs = self.trials.iter().map(|trial| trial.ladder.len()).max().unwrap_or(0);
        let enough = self.space.axes.len() + 2;
        // Rungs are counted from the end, where the ladders of different brackets meet.
        let at = |trial: &Climb, from_end: usize| {
            trial.ladder.len().checked_sub(from_end + 1).and_then(|rung| trial.outcomes.get(rung)).copied()
        };
        let level = (0..rungs)
            .find(|&from_end| {
                self.trials.iter().filter(|trial| at(trial, from_end).is_some()).count() >= enough
            })
            .unwrap_or(rungs.saturating_sub(1));
        self.trials
            .iter()
            .zip(&self.points)
            .map(|(trial, point)| {
                let last = trial.outcomes.last().copied();
                let outcome = match at(trial, level) {
                    Some(outcome) => outcome,
                    // Ended early, or failed: it is known to be no good. On its way: not known yet.
                    None if last == Some(Outcome::Failed) => Outcome::Failed,
                    None if trial.is_over => last.unwrap_or(Outcome::Pending),
                    None => Outcome::Pending,
                };
                Observation { point: point.clone(), outcome }
            })
            .collect()
    }
}
