//! A whole search: it hands out work and takes the outcomes.

use std::collections::BTreeMap;

use super::config::{Method, Sample, Stop, Sweep};
use super::rule::{self, Climb, Move, Rule};
use super::sampler::Sampler;
use super::space::{Observation, Outcome, Point, Space};
use super::{gaussian_process, grid, tpe};

/// A whole search. [`Search::ask`] hands out work, [`Search::tell`] takes its outcomes.
///
/// The same settings and outcomes give the same trials, in whatever order the outcomes arrive. The
/// k-th piece of work depends only on the outcomes of the pieces before it, except the last few, in
/// their order. The number of pieces left out is a setting.
#[derive(Debug)]
pub struct Search {
    space: Space,
    sampler: Sampler,
    rule: Rule,
    seed: u64,
    /// The most trials.
    limit: usize,
    /// The number of pieces of work that may be running.
    pending: usize,
    points: Vec<Point>,
    trials: Vec<Climb>,
    /// The pieces of work handed out, in order: a trial and its rung.
    asked: Vec<(usize, usize)>,
    /// The number of outcomes that have entered, in the order of `asked`.
    entered: usize,
    /// Outcomes that have not entered yet.
    told: BTreeMap<(usize, usize), Outcome>,
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub trial: usize,
    /// The epochs to train to; `None` to train to the end.
    pub epochs: Option<u32>,
}

/// The answer of [`Search::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Run(Request),
    /// The next piece of work depends on an outcome that is still missing.
    Wait,
    Done,
}

impl Search {
    /// Starts a search. `max_epochs` is the length of a whole training, for methods that stop some
    /// early.
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
                let settings =
                    tpe::Settings { startup_trials: of.startup_trials, ..Default::default() };
                (Sampler::Tpe(settings), of.trials, of.pending)
            }
            Method::Gp(of) => {
                let settings =
                    gaussian_process::Settings { startup_trials: of.startup_trials, seed };
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
            (Rule::Hyperband { brackets, .. }, _) => {
                brackets.iter().map(|bracket| bracket.trials).sum()
            }
            _ => trials,
        };
        let trials = match &sampler {
            Sampler::Grid(points) => trials.min(points.len()),
            Sampler::QuasiRandom => trials,
            // These methods never repeat a point, so a small space ends the search.
            _ => match grid::count(&space) {
                Some(count) => trials.min(count),
                None => trials,
            },
        };
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

    /// Returns the number of trials.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the number of pieces of work that may be running; `None` if it is unlimited.
    pub fn pending(&self) -> Option<usize> {
        (self.pending < usize::MAX).then_some(self.pending)
    }

    /// Returns whether all trials can be listed before any runs.
    pub fn is_listable(&self) -> bool {
        self.rule == Rule::Full && self.pending == usize::MAX
    }

    /// Returns the point of a trial that has started.
    pub fn point(&self, trial: usize) -> &Point {
        &self.points[trial]
    }

    /// Returns the next piece of work.
    pub fn ask(&mut self) -> Next {
        loop {
            while self.entered < (self.asked.len() + 1).saturating_sub(self.pending) {
                if !self.enter() {
                    return Next::Wait;
                }
            }
            let new = self.trials.len() < self.limit;
            let all = self.entered == self.asked.len();
            match self.rule.next(&mut self.trials, new, all) {
                Some(Move::GoOn(trial)) => return Next::Run(self.request(trial)),
                Some(Move::Begin) => {
                    let trial = self.trials.len();
                    let learns = self.sampler.learns(&self.space);
                    let history = if learns { self.history() } else { Vec::new() };
                    match self.sampler.point(&self.space, self.seed, trial, &history) {
                        Some(point) => {
                            self.points.push(point);
                            self.trials.push(Climb::new(self.rule.ladder(trial)));
                            return Next::Run(self.request(trial));
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

    fn request(&mut self, trial: usize) -> Request {
        let climb = &mut self.trials[trial];
        let rung = climb.asked;
        climb.asked += 1;
        self.asked.push((trial, rung));
        Request { trial, epochs: self.trials[trial].ladder[rung] }
    }

    /// Lets the next outcome enter; returns `false` if it has not arrived yet.
    fn enter(&mut self) -> bool {
        let Some(&(trial, rung)) = self.asked.get(self.entered) else { return false };
        let Some(outcome) = self.told.remove(&(trial, rung)) else { return false };
        self.entered += 1;
        self.trials[trial].outcomes.push(outcome);
        // A trial that failed on the way does not continue.
        self.trials[trial].is_over |= outcome == Outcome::Failed;
        true
    }

    /// Returns the history for a sampler: the outcome of each trial at the highest rung that enough
    /// trials have reached for a comparison.
    fn history(&self) -> Vec<Observation> {
        let rungs = self.trials.iter().map(|trial| trial.ladder.len()).max().unwrap_or(0);
        let enough = self.sampler.startup_trials().max(self.space.axes.len() + 2);
        // Rungs are counted from the end, since the ladders of different brackets share their last
        // rungs.
        let at = |trial: &Climb, from_end: usize| {
            trial
                .ladder
                .len()
                .checked_sub(from_end + 1)
                .and_then(|rung| trial.outcomes.get(rung))
                .copied()
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
                    // A trial that was stopped early or failed counts as failed, whatever its last
                    // value was. A trial that is still running or left behind is pending.
                    None if trial.is_over || last == Some(Outcome::Failed) => Outcome::Failed,
                    None => Outcome::Pending,
                };
                Observation { point: point.clone(), outcome }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::base::seed::stream;
    use crate::search::config::{Asha, Guided, Hyperband, MedianStop, Parameter, Random};
    use indexmap::IndexMap;

    fn sweep(method: Method, stop: Option<Stop>) -> Sweep {
        let range = |min: f64, max: f64| Parameter {
            min: Some(min),
            max: Some(max),
            ..Parameter::default()
        };
        let parameters = IndexMap::from([
            ("params.x".to_owned(), range(0.5, 1.5)),
            ("params.y".to_owned(), range(0.1, 0.9)),
        ]);
        Sweep { method, stop, parameters, ..Sweep::default() }
    }

    /// The outcome of a trial: better the nearer it is to a point and the longer it was trained.
    fn outcome(point: &Point, epochs: Option<u32>) -> Outcome {
        let [x, y] = [point[0].unwrap_or(0.0), point[1].unwrap_or(0.0)];
        if x > 0.95 {
            return Outcome::Failed;
        }
        Outcome::Value(
            (x - 0.3).powi(2) + (y - 0.7).powi(2) + 1.0 / f64::from(epochs.unwrap_or(27)),
        )
    }

    /// Runs a search with `workers` workers, whose work ends in an order that `seed` sets. Returns
    /// the work in the order of the requests.
    fn run(sweep: &Sweep, workers: usize, seed: u64) -> Vec<(Request, Point)> {
        let space = sweep.check().map(|parameters| parameters.space).unwrap_or_default();
        let mut search = Search::new(sweep, space, 7, 27);
        let mut random = stream(seed, &["test"], 0);
        let (mut asked, mut running) = (Vec::new(), Vec::new());
        loop {
            let next = if running.len() < workers { search.ask() } else { Next::Wait };
            match next {
                Next::Run(request) => {
                    asked.push((request, search.point(request.trial).clone()));
                    running.push(request);
                }
                Next::Done if running.is_empty() => return asked,
                Next::Done | Next::Wait => {
                    let request: Request =
                        running.swap_remove(random.random_range(0..running.len()));
                    search.tell(request, outcome(search.point(request.trial), request.epochs));
                }
            }
        }
    }

    fn asha(trials: usize) -> Method {
        Method::Asha(Asha {
            trials,
            sample: Sample::Random,
            min_epochs: 1,
            reduction: 3,
            pending: 4,
        })
    }

    #[test]
    fn neither_workers_nor_the_order_of_their_ends_change_a_search() {
        let median = MedianStop { min_epochs: 1, interval: 3, startup_trials: 3, pending: 4 };
        let tpe = Guided { trials: 20, startup_trials: 5, pending: 4 };
        let searches = [
            sweep(asha(27), None),
            sweep(Method::Tpe(tpe), None),
            sweep(Method::Random(Random { trials: 12 }), Some(Stop::Median(median))),
            sweep(
                Method::Hyperband(Hyperband {
                    sample: Sample::Random,
                    min_epochs: 1,
                    reduction: 3,
                }),
                None,
            ),
            sweep(Method::Random(Random { trials: 12 }), None),
        ];
        for sweep in &searches {
            let alone = run(sweep, 1, 0);
            for (workers, seed) in [(2, 1), (8, 2), (8, 3), (64, 4)] {
                assert_eq!(run(sweep, workers, seed), alone, "{:?}", sweep.method);
            }
        }
    }

    #[test]
    fn halving_lets_the_best_go_on() {
        let run = run(&sweep(asha(27), None), 4, 1);
        let at = |epochs: Option<u32>| -> Vec<usize> {
            run.iter()
                .filter(|(request, _)| request.epochs == epochs)
                .map(|(request, _)| request.trial)
                .collect()
        };
        assert_eq!(at(Some(1)).len(), 27);
        // Asynchronous promotions come early, so some trials are promoted that later ones beat.
        assert!((9..=13).contains(&at(Some(3)).len()), "{}", at(Some(3)).len());
        assert!(!at(None).is_empty());
        let epochs: u32 = run.iter().map(|(request, _)| request.epochs.unwrap_or(27)).sum();
        assert!(epochs < 27 * 27 / 3, "{epochs}");
        let value = |point: &Point| match outcome(point, None) {
            Outcome::Value(value) => value,
            _ => f64::INFINITY,
        };
        let all = run.iter().filter(|(request, _)| request.epochs == Some(1));
        let best = all
            .min_by(|a, b| value(&a.1).total_cmp(&value(&b.1)))
            .map(|(request, _)| request.trial);
        assert_eq!(
            at(None).iter().find(|&&trial| Some(trial) == best).copied(),
            best,
            "the best was trained to its end"
        );
    }

    #[test]
    fn few_trials_still_give_one_that_was_trained_to_its_end() {
        for trials in 1..6 {
            let run = run(&sweep(asha(trials), None), 2, 3);
            assert!(run.iter().any(|(request, _)| request.epochs.is_none()), "{trials}");
        }
    }

    #[test]
    fn hyperband_runs_its_brackets() {
        let hyperband = Hyperband { sample: Sample::Random, min_epochs: 1, reduction: 3 };
        let run = run(&sweep(Method::Hyperband(hyperband), None), 8, 5);
        let at = |epochs: Option<u32>| {
            run.iter().filter(|(request, _)| request.epochs == epochs).count()
        };
        // 27 + 12 + 6 + 4 trials start, at 1, 3, 9 and 27 epochs; a third of each rung continues.
        assert_eq!(
            [at(Some(1)), at(Some(3)), at(Some(9)), at(None)],
            [27, 9 + 12, 3 + 4 + 6, 1 + 1 + 2 + 4]
        );
    }

    #[test]
    fn the_median_rule_ends_the_bad_half() {
        let median = MedianStop { min_epochs: 1, interval: 1, startup_trials: 3, pending: 1 };
        let sweep = sweep(Method::Random(Random { trials: 30 }), Some(Stop::Median(median)));
        let run = run(&sweep, 3, 6);
        let whole = run.iter().filter(|(request, _)| request.epochs.is_none()).count();
        assert!((4..20).contains(&whole), "{whole}");
    }

    #[test]
    fn a_cap_and_a_grid_end_a_search() {
        let values = |values: &[f64]| Parameter {
            values: Some(values.iter().map(|&value| value.into()).collect()),
            ..Parameter::default()
        };
        let parameters = IndexMap::from([
            ("params.x".to_owned(), values(&[1.0, 2.0, 3.0])),
            ("params.y".to_owned(), values(&[1.0, 2.0])),
        ]);
        let grid = Sweep { parameters, ..Sweep::default() };
        assert_eq!(run(&grid, 2, 1).len(), 6);
        assert_eq!(run(&Sweep { run_cap: Some(4), ..grid }, 2, 1).len(), 4);
    }
}
