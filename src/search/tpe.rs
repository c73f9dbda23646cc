//! The multivariate tree-structured Parzen estimator: it prefers places where good points are dense
//! and others are sparse.
//!
//! Bergstra et al. 2011 ("Algorithms for hyper-parameter optimization") for the method, Falkner et
//! al. 2018 (BOHB) for kernels over all axes at once, Watanabe 2023 (arXiv 2304.11127) for the
//! value of its components. Constants below that differ from theirs were chosen by trial on
//! functions of two to six axes (benches/README.md).

use rand_chacha::ChaCha8Rng;

use super::fresh::{random_point, tried};
use super::space::{Condition, Observation, Outcome, Point, Space};
use mixture::{Mixture, Weighted};

mod mixture;

/// The settings of the estimator.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The number of trials that must finish before the estimator takes over from random search.
    pub startup_trials: usize,
    /// The number of points drawn from the density of good ones; the point with the best ratio is
    /// taken. Few candidates explore, many exploit.
    pub candidates: usize,
    /// The share of the observations that counts as good.
    pub good_share: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { startup_trials: 10, candidates: 16, good_share: 0.12 }
    }
}

/// How often the estimator is asked again after it suggested an old point.
const ATTEMPTS: usize = 8;

/// Returns the next point to try.
pub fn suggest(
    space: &Space,
    history: &[Observation],
    settings: &Settings,
    random: &mut ChaCha8Rng,
) -> Point {
    let finished =
        history.iter().filter(|observation| observation.outcome != Outcome::Pending).count();
    if finished < settings.startup_trials {
        return random_point(space, history, random);
    }
    let groups = groups(space);
    let mut models: Vec<Option<Model<'_>>> = groups.iter().map(|_| None).collect();
    for _ in 0..ATTEMPTS {
        let mut point: Point = vec![None; space.axes.len()];
        for ((condition, axes), model) in groups.iter().zip(&mut models) {
            // The axis of a group's condition is earlier, so its group came before.
            if condition.is_none() || axes.first().is_some_and(|&axis| space.exists(axis, &point)) {
                let model = model.get_or_insert_with(|| Model::new(space, axes, history, settings));
                for (&axis, value) in axes.iter().zip(model.best(settings.candidates, random)) {
                    point[axis] = Some(value);
                }
            }
        }
        if !tried(history, &point) {
            return point;
        }
    }
    random_point(space, history, random)
}

/// Returns the groups of axes that exist together, with their conditions. Each group is modelled
/// separately, from the observations that have it: a joint density would compare points of
/// different dimensions.
fn groups(space: &Space) -> Vec<(Option<&Condition>, Vec<usize>)> {
    let mut groups: Vec<(Option<&Condition>, Vec<usize>)> = Vec::new();
    for (at, axis) in space.axes.iter().enumerate() {
        let condition = axis.condition.as_ref();
        match groups.iter_mut().find(|(known, _)| *known == condition) {
            Some((_, axes)) => axes.push(at),
            None => groups.push((condition, vec![at])),
        }
    }
    groups
}

/// The two densities of a group of axes.
struct Model<'a> {
    good: Mixture<'a>,
    others: Mixture<'a>,
}

impl<'a> Model<'a> {
    fn new(
        space: &'a Space,
        axes: &[usize],
        history: &[Observation],
        settings: &Settings,
    ) -> Model<'a> {
        let mut valued: Vec<(f64, Vec<f64>)> = Vec::new();
        let mut others: Vec<Weighted> = Vec::new();
        let mut failed = 0;
        for observation in history {
            let coordinates =
                axes.iter().map(|&axis| observation.point.get(axis).copied().flatten());
            let Some(place) = coordinates.collect::<Option<Vec<f64>>>() else { continue };
            match observation.outcome {
                Outcome::Value(value) => valued.push((value, place)),
                // A running trial counts as bad, so that the next trial goes elsewhere.
                Outcome::Failed | Outcome::Pending => others.push(Weighted { place, weight: 1.0 }),
            }
            failed += usize::from(observation.outcome == Outcome::Failed);
        }
        valued.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let share = settings.good_share * (valued.len() + failed) as f64;
        let count = (share.ceil() as usize).min(valued.len());
        let worse = valued.split_off(count).into_iter();
        others.extend(worse.map(|(_, place)| Weighted { place, weight: 1.0 }));
        // Among the good ones, better ranks weigh more, as in CMA-ES (Hansen 2016, equation 49).
        // Weights by improvement would let a single lucky value dominate.
        let rank = |at: usize| (count as f64 + 0.5).ln() - (at as f64 + 1.0).ln();
        let good = valued.into_iter().enumerate();
        let good = good.map(|(at, (_, place))| Weighted { place, weight: rank(at) }).collect();
        Model { good: Mixture::new(space, axes, good), others: Mixture::new(space, axes, others) }
    }

    /// Draws candidates from the density of good points. Returns the one with the greatest ratio of
    /// the densities, which has the greatest expected improvement (Bergstra et al. 2011, section
    /// 4.1).
    fn best(&self, candidates: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        let mut best = self.good.draw(random);
        let mut greatest = self.log_ratio(&best);
        for _ in 1..candidates {
            let place = self.good.draw(random);
            let ratio = self.log_ratio(&place);
            if ratio > greatest {
                (greatest, best) = (ratio, place);
            }
        }
        best
    }

    fn log_ratio(&self, place: &[f64]) -> f64 {
        self.good.log_density(place) - self.others.log_density(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use crate::search::check::{
        bowl, conditional, history, minimum, odd_histories, outcomes, space, spaces, valid,
    };
    use crate::search::random;
    use crate::search::space::AxisKind;
    use proptest::prelude::*;

    fn next(space: &Space, history: &[Observation], seed: u64) -> Point {
        suggest(space, history, &Settings::default(), &mut stream(seed, &["test"], 0))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 128,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn suggestions_are_valid_and_repeat(
            space in spaces(),
            outcomes in outcomes(40),
            seed: u64,
        ) {
            let history = history(&space, seed, &outcomes);
            let found = next(&space, &history, seed);
            prop_assert!(valid(&space, &found), "{found:?}");
            prop_assert_eq!(found, next(&space, &history, seed));
        }
    }

    #[test]
    fn bears_odd_histories() {
        let space = conditional();
        for history in odd_histories(&space, 1000) {
            let settings = Settings { startup_trials: 1, ..Settings::default() };
            let found = suggest(&space, &history, &settings, &mut stream(3, &[], 0));
            assert!(valid(&space, &found), "{found:?}");
        }
    }

    #[test]
    fn beats_random_search() {
        let space = conditional();
        let mean = |suggest: &dyn Fn(&[Observation], u64) -> Point| {
            (0..20).map(|seed| minimum(&space, 80, seed, bowl, suggest)).sum::<f64>() / 20.0
        };
        let ours = mean(&|history, seed| next(&space, history, seed));
        let theirs = mean(&|_, seed| random::point(&space, &mut stream(seed, &[], 0)));
        assert!(ours < 0.8 * theirs, "{ours} {theirs}");
    }

    /// Running trials make their neighbourhood less attractive; so do failed ones.
    #[test]
    fn goes_where_no_trial_is_running() {
        let space = space([AxisKind::Continuous]);
        let at = |place: f64, outcome| Observation { point: vec![Some(place)], outcome };
        let values = (0..40).map(|step| f64::from(step) / 39.0);
        let history: Vec<Observation> =
            values.map(|place| at(place, Outcome::Value((place - 0.5).abs()))).collect();
        let ratio = |history: &[Observation]| {
            Model::new(&space, &[0], history, &Settings::default()).log_ratio(&[0.52])
        };
        for outcome in [Outcome::Pending, Outcome::Failed] {
            let more = history.iter().cloned().chain((0..5).map(|_| at(0.52, outcome)));
            assert!(ratio(&more.collect::<Vec<_>>()) < ratio(&history) - 0.3);
        }
    }

    #[test]
    fn a_small_space_is_tried_whole() {
        let space = space([AxisKind::Steps(3), AxisKind::Choice(vec![0.5, 0.5])]);
        let mut history: Vec<Observation> = Vec::new();
        for trial in 0..6 {
            let settings = Settings { startup_trials: 2, ..Settings::default() };
            let point = suggest(&space, &history, &settings, &mut stream(trial, &[], 0));
            assert!(!tried(&history, &point), "{point:?}");
            history.push(Observation { point, outcome: Outcome::Value(trial as f64) });
        }
        assert!(valid(&space, &next(&space, &history, 1)));
    }
}
