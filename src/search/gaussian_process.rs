//! Bayesian optimisation with a Gaussian process: the point with the greatest expected improvement.
//!
//! Snoek et al. 2012 for the method, Ament et al. 2023 (LogEI) for its acquisition function,
//! Hvarfner et al. 2024 for the prior of the length scales.

use rand_chacha::ChaCha8Rng;

use super::fresh::{random_point, tried};
use super::quasi_random;
use super::space::{Observation, Outcome, Point, Space};
use acquisition::Search;
use fit::{Evidence, fit};
use kernel::Features;
use observed::{normalised, ranked, thinned};
use posterior::Posterior;

mod observed;

mod kernel;

mod fit;

mod improvement;

mod posterior;

mod acquisition;

/// The settings of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The number of trials that must finish before the process takes over. The trials before fill
    /// the space evenly, as in Jones et al. 1998: after random ones, the process found the best
    /// valley of Hartmann's function less often.
    pub startup_trials: usize,
    /// The seed of those points, the same for all trials of a search.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { startup_trials: 10, seed: 0 }
    }
}

/// The most finished and the most running trials that the process uses, since time grows with their
/// cube.
const MOST_FINISHED: usize = 400;
const MOST_PENDING: usize = 100;

/// The most trials for the fit of the parameters, which takes a hundred times as long.
const MOST_FITTED: usize = 150;

/// The number of the best observations whose neighbourhoods are searched closely.
const BEST: usize = 4;

/// An expected improvement below this share of the observations' deviation is negligible: under the
/// model, the optimum is found. The model may cover only one valley. Therefore every other trial
/// then searches outside that valley, while the others keep refining.
const NEGLIGIBLE: f64 = 1e-3;

/// Returns the next point to try.
pub fn suggest(
    space: &Space,
    history: &[Observation],
    settings: &Settings,
    random: &mut ChaCha8Rng,
) -> Point {
    let finished =
        history.iter().filter(|observation| observation.outcome != Outcome::Pending).count();
    let ranked = ranked(history);
    if finished < settings.startup_trials || ranked.is_empty() {
        let point = quasi_random::point(space, settings.seed, history.len() as u64);
        return if tried(history, &point) { random_point(space, history, random) } else { point };
    }
    let features = Features::new(space);
    let values = normalised(&ranked.iter().map(|(_, value)| *value).collect::<Vec<f64>>());
    let told = |most: usize| -> (Vec<Vec<f64>>, Vec<f64>) {
        let kept = thinned(ranked.len(), most).into_iter();
        kept.map(|at| (features.of(space, ranked[at].0), values[at])).unzip()
    };
    let (places, fitted) = told(MOST_FITTED);
    let kernel = fit(&Evidence::new(&features, &places, &fitted), random);
    let (mut places, values) = told(MOST_FINISHED);
    let pending =
        history.iter().rev().filter(|observation| observation.outcome == Outcome::Pending);
    places.extend(
        pending.take(MOST_PENDING).map(|observation| features.of(space, &observation.point)),
    );
    let Some(mut posterior) = Posterior::new(&features, kernel, places, &values) else {
        return random_point(space, history, random);
    };
    let mut promising = |posterior: &Posterior<'_>| -> Option<(f64, Point)> {
        let outside =
            ranked.iter().filter(|(point, _)| !posterior.shuns(&features.of(space, point)));
        let best: Vec<&Point> = outside.take(BEST).map(|(point, _)| *point).collect();
        let points = Search { space, features: &features, posterior }.points(&best, random);
        points.into_iter().find(|(promise, point)| promise.is_finite() && !tried(history, point))
    };
    let mut found = promising(&posterior);
    let idle = found.as_ref().is_none_or(|(promise, _)| *promise < NEGLIGIBLE.ln());
    if idle && history.len().is_multiple_of(2) {
        posterior.shun(&features.of(space, ranked[0].0));
        found = promising(&posterior).or(found);
    }
    found.map_or_else(|| random_point(space, history, random), |(_, point)| point)
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
            cases: 64,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn suggestions_are_valid_and_repeat(
            space in spaces(),
            outcomes in outcomes(24),
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
            let found = suggest(
                &space,
                &history,
                &Settings { startup_trials: 1, seed: 0 },
                &mut stream(3, &[], 0),
            );
            assert!(valid(&space, &found), "{found:?}");
        }
    }

    #[test]
    fn beats_random_search() {
        let space = conditional();
        let mean = |suggest: &dyn Fn(&[Observation], u64) -> Point| {
            (0..4).map(|seed| minimum(&space, 30, seed, bowl, suggest)).sum::<f64>() / 4.0
        };
        let ours = mean(&|history, seed| next(&space, history, seed));
        let theirs = mean(&|_, seed| random::point(&space, &mut stream(seed, &[], 0)));
        assert!(ours < 0.2 * theirs, "{ours} {theirs}");
    }

    #[test]
    fn leaves_the_valley_that_it_knows() {
        // A wide bowl, and a narrow one beside it that is deeper.
        let space = space([AxisKind::Continuous, AxisKind::Continuous]);
        let value = |point: &Point| {
            let distance = |x: f64, y: f64| {
                (point[0].unwrap_or(0.0) - x).powi(2) + (point[1].unwrap_or(0.0) - y).powi(2)
            };
            -(-4.0 * distance(0.7, 0.7)).exp() - 1.2 * (-60.0 * distance(0.15, 0.2)).exp()
        };
        for seed in 0..3 {
            let found =
                minimum(&space, 45, seed, value, |history, seed| next(&space, history, seed));
            assert!(found < -1.15, "{found}");
        }
    }

    #[test]
    fn a_small_space_is_tried_whole() {
        let space = space([AxisKind::Steps(3), AxisKind::Choice(vec![0.5, 0.5])]);
        let mut history: Vec<Observation> = Vec::new();
        for trial in 0..6 {
            let settings = Settings { startup_trials: 2, seed: 0 };
            let point = suggest(&space, &history, &settings, &mut stream(trial, &[], 0));
            assert!(!tried(&history, &point), "{point:?}");
            history.push(Observation { point, outcome: Outcome::Value(trial as f64) });
        }
        assert!(valid(&space, &next(&space, &history, 1)));
    }
}
