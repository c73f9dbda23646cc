//! The rule that chooses the next trial to run, new or continued, and its epochs.

use super::space::Outcome;

/// The rule that judges trials and chooses those that continue.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Every trial runs to the end.
    Full,
    /// The median rule (Golovin et al. 2017, "Google Vizier"): a trial is stopped if its best value
    /// so far is worse than the median of the finished trials' means up to the same rung.
    Median { ladder: Vec<Option<u32>>, startup_trials: usize },
    /// Asynchronous successive halving (Li et al. 2020, "A system for massively parallel
    /// hyperparameter tuning", algorithm 2).
    Asha { ladder: Vec<Option<u32>>, reduction: usize },
    /// Hyperband (Li et al. 2018, algorithm 1): these brackets, in sequence.
    Hyperband { brackets: Vec<Bracket>, reduction: usize },
}

/// One run of successive halving within Hyperband.
#[derive(Clone, Debug, PartialEq)]
pub struct Bracket {
    /// The number of trials that start.
    pub trials: usize,
    pub ladder: Vec<Option<u32>>,
}

/// A trial with the results that have entered the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Climb {
    /// The epochs of each rung; the last is `None`, which means training to the end.
    pub ladder: Vec<Option<u32>>,
    /// The outcomes of the first rungs.
    pub outcomes: Vec<Outcome>,
    /// The number of rungs handed out.
    pub asked: usize,
    /// Whether it was stopped early.
    pub is_over: bool,
}

/// The next move of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// This trial continues to its next rung.
    GoOn(usize),
    /// A new trial starts.
    Begin,
}

/// Returns the ladder of successive halving: `min`, `min·η`, `min·η²`, … below `max`, then the end.
pub fn geometric_ladder(min: u32, reduction: u32, max: u32) -> Vec<Option<u32>> {
    let rungs = std::iter::successors(Some(min), |epochs| epochs.checked_mul(reduction));
    let mut ladder: Vec<Option<u32>> = rungs.take_while(|&epochs| epochs < max).map(Some).collect();
    ladder.push(None);
    ladder
}

/// Returns the ladder of the median rule: `min`, `min + interval`, … below `max`, then the end.
pub fn even_ladder(min: u32, interval: u32, max: u32) -> Vec<Option<u32>> {
    let rungs = std::iter::successors(Some(min), |epochs| epochs.checked_add(interval));
    let mut ladder: Vec<Option<u32>> = rungs.take_while(|&epochs| epochs < max).map(Some).collect();
    ladder.push(None);
    ladder
}

/// Returns Hyperband's brackets for trainings of `max` epochs; the bracket with the most trials
/// comes first.
pub fn brackets(min: u32, reduction: u32, max: u32) -> Vec<Bracket> {
    let whole = geometric_ladder(min, reduction, max);
    // The number of rungs below the end is the largest number of halvings.
    let most = whole.len() - 1;
    (0..=most)
        .rev()
        .map(|halvings| {
            // n = ⌈(s_max + 1)/(s + 1) · η^s⌉
            let trials = (most + 1) as f64 / (halvings + 1) as f64
                * f64::from(reduction).powi(halvings as i32);
            Bracket { trials: trials.ceil() as usize, ladder: whole[most - halvings..].to_vec() }
        })
        .collect()
}

impl Climb {
    /// Returns a trial that has not started.
    pub fn new(ladder: Vec<Option<u32>>) -> Climb {
        Climb { ladder, outcomes: Vec::new(), asked: 0, is_over: false }
    }

    /// Returns the value at a rung, if there is one.
    pub fn value(&self, rung: usize) -> Option<f64> {
        match self.outcomes.get(rung) {
            Some(Outcome::Value(value)) => Some(*value),
            _ => None,
        }
    }

    /// Returns whether its last result has entered and another rung is left.
    fn is_waiting(&self) -> bool {
        !self.is_over && self.outcomes.len() == self.asked && self.asked < self.ladder.len()
    }

    fn is_finished(&self) -> bool {
        self.outcomes.len() == self.ladder.len()
    }
}

impl Rule {
    /// Returns the rungs of a new trial with this number.
    pub fn ladder(&self, trial: usize) -> Vec<Option<u32>> {
        match self {
            Rule::Full => vec![None],
            Rule::Median { ladder, .. } | Rule::Asha { ladder, .. } => ladder.clone(),
            Rule::Hyperband { brackets, .. } => {
                let mut before = 0;
                let of_trial = brackets.iter().find(|bracket| {
                    before += bracket.trials;
                    trial < before
                });
                of_trial.map_or_else(|| vec![None], |bracket| bracket.ladder.clone())
            }
        }
    }

    /// Returns the next move, given the results that have entered; `None` if more results are
    /// needed first, or all is done. `new` is whether there are new trials, `all` whether every
    /// result has entered.
    pub fn next(&self, trials: &mut [Climb], new: bool, all: bool) -> Option<Move> {
        match self {
            Rule::Full => new.then_some(Move::Begin),
            Rule::Median { startup_trials, .. } => {
                for index in 0..trials.len() {
                    if trials[index].is_waiting() && trials[index].asked > 0 {
                        match is_hopeless(trials, index, *startup_trials) {
                            true => trials[index].is_over = true,
                            false => return Some(Move::GoOn(index)),
                        }
                    }
                }
                new.then_some(Move::Begin)
            }
            Rule::Asha { ladder, reduction } => {
                let top = ladder.len() - 1;
                let promoted = (0..top).rev().find_map(|rung| {
                    let ranked = ranked(trials, 0..trials.len(), rung);
                    let count = ranked.len() / reduction;
                    let goes_on = |&index: &usize| {
                        trials[index].asked == rung + 1 && trials[index].value(rung).is_some()
                    };
                    ranked.into_iter().take(count).find(goes_on)
                });
                let last = || {
                    // With few trials the upper rungs would stay empty, and a search without a
                    // whole training has no result.
                    (0..top).rev().find_map(|rung| {
                        let ranked = ranked(trials, 0..trials.len(), rung);
                        let came_further =
                            ranked.iter().any(|&index| trials[index].value(rung + 1).is_some());
                        let waits = |&index: &usize| {
                            trials[index].asked == rung + 1 && trials[index].value(rung).is_some()
                        };
                        ranked.into_iter().find(waits).filter(|_| !came_further)
                    })
                };
                match promoted {
                    Some(index) => Some(Move::GoOn(index)),
                    None if new => Some(Move::Begin),
                    None if all => last().map(Move::GoOn),
                    None => None,
                }
            }
            Rule::Hyperband { brackets, reduction } => {
                let mut start = 0;
                for bracket in brackets {
                    let end = start + bracket.trials;
                    if new && trials.len() < end {
                        return Some(Move::Begin);
                    }
                    let members = start..end.min(trials.len());
                    if let Some(found) = halve(trials, members, bracket, *reduction) {
                        return found;
                    }
                    start = end;
                }
                None
            }
        }
    }
}

/// Returns the next promotion of a bracket whose trials have all started; `Some(None)` while
/// results are missing, `None` once the bracket is over.
fn halve(
    trials: &[Climb],
    members: std::ops::Range<usize>,
    bracket: &Bracket,
    reduction: usize,
) -> Option<Option<Move>> {
    let mut count = members.len();
    for rung in 0..bracket.ladder.len() {
        let asked = members.clone().filter(|&index| trials[index].asked > rung).count();
        if asked < count {
            // All results of the rung below are there: the best trials continue, one move at a
            // time.
            let next = ranked(trials, members.clone(), rung - 1).into_iter().take(count);
            let next = next
                .filter(|&index| trials[index].value(rung - 1).is_some())
                .find(|&index| trials[index].asked == rung);
            match next {
                Some(index) => return Some(Some(Move::GoOn(index))),
                // Too many failed.
                None => count = asked,
            }
        }
        let entered = members.clone().filter(|&index| trials[index].outcomes.len() > rung).count();
        if entered < count {
            return Some(None);
        }
        if count == 0 {
            return None;
        }
        count = (count / reduction).max(1);
    }
    None
}

/// Returns the trials whose result at a rung has entered, best first and failed ones last; equal
/// trials keep their order.
fn ranked(trials: &[Climb], members: std::ops::Range<usize>, rung: usize) -> Vec<usize> {
    let mut there: Vec<usize> =
        members.filter(|&index| trials[index].outcomes.len() > rung).collect();
    let value = |index: &usize| trials[*index].value(rung).unwrap_or(f64::INFINITY);
    there.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
    there
}

fn is_hopeless(trials: &[Climb], index: usize, startup_trials: usize) -> bool {
    let trial = &trials[index];
    let rung = trial.outcomes.len() - 1;
    if trial.value(rung).is_none() {
        return true;
    }
    let mut means: Vec<f64> = trials
        .iter()
        .filter(|other| other.is_finished() && other.value(other.ladder.len() - 1).is_some())
        .filter_map(|other| {
            let values: Vec<f64> = (0..=rung).map_while(|rung| other.value(rung)).collect();
            (values.len() == rung + 1).then(|| values.iter().sum::<f64>() / values.len() as f64)
        })
        .collect();
    if means.len() < startup_trials.max(1) {
        return false;
    }
    means.sort_by(f64::total_cmp);
    let middle = means.len() / 2;
    let median = if means.len() % 2 == 1 {
        means[middle]
    } else {
        (means[middle - 1] + means[middle]) / 2.0
    };
    let best = (0..=rung).filter_map(|rung| trial.value(rung)).fold(f64::INFINITY, f64::min);
    best > median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_and_brackets() {
        assert_eq!(geometric_ladder(1, 3, 27), [Some(1), Some(3), Some(9), None]);
        assert_eq!(geometric_ladder(2, 2, 2), [None]);
        assert_eq!(even_ladder(2, 3, 9), [Some(2), Some(5), Some(8), None]);
        // The table of Li et al. 2018 for R = 81 and η = 3.
        let found: Vec<(usize, usize)> = brackets(1, 3, 81)
            .iter()
            .map(|bracket| (bracket.trials, bracket.ladder.len()))
            .collect();
        assert_eq!(found, [(81, 5), (34, 4), (15, 3), (8, 2), (5, 1)]);
        assert_eq!(brackets(1, 3, 81)[1].ladder, [Some(3), Some(9), Some(27), None]);
    }
}
