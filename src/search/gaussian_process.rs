//! Bayesian optimisation with a Gaussian process: the point from which most improvement is expected.
//!
//! Snoek et al. 2012 for the method, Ament et al. 2023 (LogEI) for its acquisition function, Hvarfner et al. 2024 for what is
//! believed of length scales.

use rand_chacha::ChaCha8Rng;

use super::fresh::{random_point, tried};
use super::{Observation, Outcome, Point, Space};
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

/// How the search proceeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// So many trials have to finish before the process takes over from random search.
    pub startup_trials: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { startup_trials: 10 }
    }
}

/// At most so many finished trials are known to the process, and at most so many running ones: time grows with their cube.
const MOST_FINISHED: usize = 400;
const MOST_PENDING: usize = 100;

/// At most so many decide on the parameters, which takes a hundred times as long.
const MOST_FITTED: usize = 150;

/// Near how many of the best observations is looked closely.
const BEST: usize = 4;

/// Returns where to look next.
pub fn suggest(
    space: &Space,
    history: &[Observation],
    settings: &Settings,
    random: &mut ChaCha8Rng,
) -> Point {
    let finished = history.iter().filter(|observation| observation.outcome != Outcome::Pending).count();
    let ranked = ranked(history);
    if finished < settings.startup_trials || ranked.is_empty() {
        return random_point(space, history, random);
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
    let pending = history.iter().rev().filter(|observation| observation.outcome == Outcome::Pending);
    places.extend(pending.take(MOST_PENDING).map(|observation| features.of(space, &observation.point)));
    let Some(posterior) = Posterior::new(&features, kernel, places, &values) else {
        return random_point(space, history, random);
    };
    let search = Search { space, features: &features, posterior: &posterior };
    let best: Vec<&Point> = ranked.iter().take(BEST).map(|(point, _)| *point).collect();
    let fresh = search.points(&best, random).into_iter().find(|point| !tried(history, point));
    fresh.unwrap_or_else(|| random_point(space, history, random))
}
