//! The sources of points for new trials.

use super::space::{AxisKind, Observation, Point, Space};
use super::{fresh, gaussian_process, quasi_random, random, tpe};
use crate::base::seed::stream;

/// The source of points for new trials.
#[derive(Clone, Debug)]
pub enum Sampler {
    /// These points, in order.
    Grid(Vec<Point>),
    Random,
    QuasiRandom,
    Tpe(tpe::Settings),
    GaussianProcess(gaussian_process::Settings),
}

impl Sampler {
    /// Returns whether the next point depends on earlier trials.
    pub fn learns(&self, space: &Space) -> bool {
        match self {
            Sampler::Grid(_) | Sampler::QuasiRandom => false,
            // Only to make sure that a point is new.
            Sampler::Random => !has_line(space),
            Sampler::Tpe(_) | Sampler::GaussianProcess(_) => true,
        }
    }

    /// Returns the number of trials that must end before it learns from them.
    pub fn startup_trials(&self) -> usize {
        match self {
            Sampler::Tpe(settings) => settings.startup_trials,
            Sampler::GaussianProcess(settings) => settings.startup_trials,
            Sampler::Grid(_) | Sampler::Random | Sampler::QuasiRandom => 0,
        }
    }

    /// Returns the point of the trial with this number, given the earlier results; `None` if there
    /// are no more points.
    pub fn point(
        &self,
        space: &Space,
        seed: u64,
        trial: usize,
        history: &[Observation],
    ) -> Option<Point> {
        Some(match self {
            Sampler::Grid(points) => return points.get(trial).cloned(),
            Sampler::Random => {
                let mut random = stream(seed, &["sweep", "random"], trial as u64);
                // Equal draws from a continuous axis are too rare to look for.
                match has_line(space) {
                    true => random::point(space, &mut random),
                    false => fresh::random_point(space, history, &mut random),
                }
            }
            Sampler::QuasiRandom => quasi_random::point(space, seed, trial as u64),
            Sampler::Tpe(settings) => tpe::suggest(
                space,
                history,
                settings,
                &mut stream(seed, &["sweep", "tpe"], trial as u64),
            ),
            Sampler::GaussianProcess(settings) => {
                let mut random = stream(seed, &["sweep", "gp"], trial as u64);
                gaussian_process::suggest(space, history, settings, &mut random)
            }
        })
    }
}

fn has_line(space: &Space) -> bool {
    space.axes.iter().any(|axis| axis.kind == AxisKind::Continuous)
}
