//! The trials of a sweep, and the ones that are drawn.

use indexmap::IndexMap;
use serde_json::Value;

/// One trial: its parameters, and its mean over seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    pub name: String,
    pub params: IndexMap<String, Value>,
    /// `None` if it failed; the last value of a trial that the search stopped early.
    pub value: Option<f64>,
    pub was_stopped: bool,
}

/// The trials of a sweep by one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trials {
    pub metric: String,
    pub less_is_better: bool,
    /// The names of the parameters that were searched.
    pub params: Vec<String>,
    pub all: Vec<Trial>,
}

impl Trials {
    /// Returns at most `most` trials that have a value, the best first: the better half in full,
    /// every n-th of the rest, so that both the top and the spread are visible.
    pub fn drawn(&self, most: usize) -> Vec<&Trial> {
        let mut ranked: Vec<(&Trial, f64)> = self
            .all
            .iter()
            .filter_map(|trial| Some((trial, trial.value.filter(|value| value.is_finite())?)))
            .collect();
        let sign = if self.less_is_better { 1.0 } else { -1.0 };
        ranked.sort_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
        let ranked: Vec<&Trial> = ranked.into_iter().map(|(trial, _)| trial).collect();
        if ranked.len() <= most {
            return ranked;
        }
        let (top, rest) = ranked.split_at(most / 2);
        let room = (most - top.len()).max(1);
        let spread = (0..room).filter_map(|index| rest.get(index * rest.len() / room));
        top.iter().chain(spread).copied().collect()
    }

    /// Returns the index of the best drawn trial: of those that were trained to the end, if there
    /// are any.
    pub fn best(drawn: &[&Trial]) -> usize {
        drawn.iter().position(|trial| !trial.was_stopped).unwrap_or(0)
    }

    /// Returns a sentence about which trials are drawn.
    pub fn thinned(&self, drawn: usize) -> String {
        format!(
            "{drawn} of {} trials are drawn: the best {}, and an even sample of the others.",
            self.finished(),
            drawn / 2
        )
    }

    /// Returns how many trials have a value.
    pub fn finished(&self) -> usize {
        self.all.iter().filter(|trial| trial.value.is_some_and(f64::is_finite)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_best_and_reaches_the_worst() {
        let trial = |index: usize| Trial {
            name: format!("trial {index}"),
            value: if index == 7 { None } else { Some(index as f64) },
            ..Trial::default()
        };
        let mut trials = Trials { all: (0..2000).map(trial).collect(), ..Trials::default() };
        let drawn: Vec<f64> =
            trials.drawn(100).into_iter().filter_map(|trial| trial.value).collect();
        assert_eq!((drawn.len(), drawn[0], drawn[49]), (100, 1999.0, 1950.0));
        assert!(drawn[99] < 45.0);
        assert_eq!(trials.finished(), 1999);
        trials.all[1999].was_stopped = true;
        assert_eq!(Trials::best(&trials.drawn(100)), 1);
        trials.less_is_better = true;
        assert_eq!(trials.drawn(5000).len(), 1999);
        assert_eq!(trials.drawn(1)[0].value, Some(0.0));
    }
}
