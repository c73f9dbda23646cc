//! The learning curves of one recipe, reduced to the points that are drawn.

use std::collections::BTreeMap;

use crate::data::curves::CurvePoint;

/// The trainings behind a recipe, one per seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    pub name: String,
    /// Its place among the recipes, which sets its colour.
    pub slot: usize,
    /// How it has learnt: losses of one method alone can be compared.
    pub method: String,
    pub seeds: Vec<(u64, Vec<CurvePoint>)>,
}

/// A line of points, a gap where a value is not finite.
pub type Line = Vec<(f64, Option<f64>)>;

/// More points than this cannot be seen.
const POINTS: u64 = 120;

/// Returns how many steps make one point of the loss, for a training with `steps` steps.
pub fn stride(steps: u64) -> u64 {
    steps.div_ceil(POINTS).max(1)
}

impl Training {
    /// Returns the largest step of any seed.
    pub fn steps(&self) -> u64 {
        self.seeds.iter().flat_map(|(_, points)| points).map(|point| point.step).max().unwrap_or(0)
    }

    /// Returns the loss of every seed: the mean of each `stride` steps, placed at the last of them.
    pub fn losses(&self, stride: u64) -> Vec<(u64, Line)> {
        let line = |points: &[CurvePoint]| {
            let mut parts: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for point in points {
                parts.entry(point.step.div_ceil(stride) * stride).or_default().push(point.loss);
            }
            let mean = |values: Vec<f64>| finite(values.iter().sum::<f64>() / values.len() as f64);
            parts.into_iter().map(|(step, values)| (step as f64, mean(values))).collect()
        };
        self.seeds.iter().map(|(seed, points)| (*seed, line(points))).collect()
    }

    /// Returns a dev metric at the end of every epoch, for every seed that has values.
    pub fn epochs(&self, metric: &str) -> Vec<(u64, Line)> {
        let line = |points: &[CurvePoint]| -> Line {
            let value = |point: &CurvePoint| point.dev.get(metric).copied();
            points.iter().filter_map(|p| Some((f64::from(p.epoch), finite(value(p)?)))).collect()
        };
        let lines = self.seeds.iter().map(|(seed, points)| (*seed, line(points)));
        lines.filter(|(_, line)| !line.is_empty()).collect()
    }
}

/// Returns the mean over seeds at points where all of them have a value. Beyond, the mean would be
/// over other seeds than before.
pub fn mean(lines: &[(u64, Line)]) -> Line {
    let mut sums: BTreeMap<u64, (f64, usize)> = BTreeMap::new();
    for (x, y) in lines.iter().flat_map(|(_, line)| line) {
        let Some(y) = y else { continue };
        let sum = sums.entry(x.to_bits()).or_default();
        *sum = (sum.0 + y, sum.1 + 1);
    }
    // Positive floats sort like their bits.
    let whole = sums.into_iter().filter(|(_, (_, count))| *count == lines.len());
    whole.map(|(x, (sum, count))| (f64::from_bits(x), finite(sum / count as f64))).collect()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training() -> Training {
        let point = |step: u64, loss| CurvePoint {
            step,
            epoch: step.div_ceil(2) as u32,
            loss,
            dev: step
                .is_multiple_of(2)
                .then(|| ("loss".to_owned(), loss / 2.0))
                .into_iter()
                .collect(),
            ..CurvePoint::default()
        };
        let long = (1..=6).map(|step| point(step, step as f64)).collect();
        let short = vec![point(1, 3.0), point(2, f64::NAN)];
        Training {
            name: "tuned".into(),
            slot: 0,
            method: String::new(),
            seeds: vec![(1, long), (2, short)],
        }
    }

    #[test]
    fn steps_are_averaged_and_gaps_stay() {
        let lines = training().losses(2);
        assert_eq!(lines[0].1, [(2.0, Some(1.5)), (4.0, Some(3.5)), (6.0, Some(5.5))]);
        assert_eq!(lines[1].1, [(2.0, None)]);
        assert_eq!((stride(120), stride(121), stride(0)), (1, 2, 1));
    }

    #[test]
    fn a_mean_is_over_all_seeds_or_none() {
        let lines = training().epochs("loss");
        assert_eq!(lines[0].1, [(1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, Some(3.0))]);
        assert_eq!(mean(&lines[..1]), lines[0].1);
        assert_eq!(mean(&lines), []);
        assert_eq!(mean(&training().losses(1)), [(1.0, Some(2.0))]);
    }
}
