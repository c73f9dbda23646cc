//! Axes with round ticks.

/// A range of values on a line, with ticks at round values.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
    /// The labels of given ticks, which replace the computed ones.
    labels: Vec<String>,
    /// The distance between ticks, which sets their number of decimals; 0 on a logarithmic axis.
    step: f64,
}

/// From this ratio of largest to smallest, an axis of positive values is logarithmic: three
/// doublings, or nearly a decade.
const WIDE: f64 = 7.99;
/// Larger values are not measurements, and their differences would overflow.
const LARGEST: f64 = 1e200;

impl Axis {
    /// Makes a linear axis with about `most` ticks. Values that are not finite are left out;
    /// without values the axis goes from 0 to 1.
    pub fn linear(values: impl IntoIterator<Item = f64>, most: usize) -> Axis {
        let (low, high) = match range(values) {
            None => (0.0, 1.0),
            // A single value is placed in the middle.
            Some((low, high)) if high - low <= 1e-9 * high.abs().max(low.abs()) => {
                let margin = if high == 0.0 { 1.0 } else { 0.1 * high.abs().max(low.abs()) };
                (low - margin, high + margin)
            }
            Some(range) => range,
        };
        let step = round_step((high - low) / most.max(1) as f64);
        let first = (low / step + 1e-6).floor() as i64;
        let last = (high / step - 1e-6).ceil() as i64;
        let ticks: Vec<f64> = (first..=last).map(|index| index as f64 * step).collect();
        Axis {
            low: first as f64 * step,
            high: last as f64 * step,
            logarithmic: false,
            ticks,
            labels: Vec::new(),
            step,
        }
    }

    /// Makes an axis of whole numbers, such as epochs, with about `most` ticks at whole numbers.
    pub fn whole(values: impl IntoIterator<Item = f64>, most: usize) -> Axis {
        let Some((low, high)) = range(values).map(|(low, high)| (low.floor(), high.ceil())) else {
            return Axis::linear([], most);
        };
        if high <= low {
            // A single value is placed in the middle, with the only tick.
            let labels = Vec::new();
            let (low, high, ticks) = (low - 1.0, low + 1.0, vec![low]);
            return Axis { low, high, logarithmic: false, ticks, labels, step: 1.0 };
        }
        if round_step((high - low) / most.max(1) as f64) >= 1.0 {
            return Axis::linear([low, high], most);
        }
        let count = (high - low) as usize;
        let ticks = (0..=count).map(|index| low + index as f64).collect();
        Axis { low, high, logarithmic: false, ticks, labels: Vec::new(), step: 1.0 }
    }

    /// Makes a logarithmic axis if positive values span about a decade or more, otherwise a linear
    /// one.
    pub fn of(values: impl IntoIterator<Item = f64>, most: usize) -> Axis {
        let values: Vec<f64> = values.into_iter().collect();
        match range(values.iter().copied()) {
            Some((low, high)) if low > 0.0 && high / low >= WIDE => {
                Axis::logarithmic(low, high, most)
            }
            _ => Axis::linear(values, most),
        }
    }

    fn logarithmic(low: f64, high: f64, most: usize) -> Axis {
        let (first, last) = (low.log10(), high.log10());
        let margin = 0.04 * (last - first);
        let marks: &[f64] = if last - first <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let stride = ((last - first) / most.max(1) as f64).ceil().max(1.0) as usize;
        let marks = if stride > 1 { &marks[..1] } else { marks };
        let (low, high) = (10f64.powf(first - margin), 10f64.powf(last + margin));
        let decades = first.floor() as i32..=last.ceil() as i32;
        let ticks = decades
            .step_by(stride)
            .flat_map(|decade| marks.iter().map(move |mark| mark * 10f64.powi(decade)))
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        Axis { low, high, logarithmic: true, ticks, labels: Vec::new(), step: 0.0 }
    }

    /// Returns the axis with these ticks and labels.
    pub fn marked(self, mut marks: Vec<(f64, String)>) -> Axis {
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ticks, labels) = marks.into_iter().unzip();
        Axis { ticks, labels, ..self }
    }

    /// Returns the place of a value, from 0 to 1; `None` if it is not finite or lies outside the
    /// axis' domain.
    pub fn place(&self, value: f64) -> Option<f64> {
        let scaled = |value: f64| if self.logarithmic { value.log10() } else { value };
        let (low, high) = (scaled(self.low), scaled(self.high));
        let place = (scaled(value) - low) / (high - low);
        place.is_finite().then(|| place.clamp(0.0, 1.0))
    }

    /// Returns the ticks: the place and the label of each. All labels of a linear axis have the
    /// same number of decimals.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let label = |index: usize, tick| {
            self.labels.get(index).cloned().unwrap_or_else(|| self.label(tick))
        };
        let ticks = self.ticks.iter().enumerate();
        ticks.filter_map(|(index, &tick)| Some((self.place(tick)?, label(index, tick)))).collect()
    }

    fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        let plain = if self.logarithmic {
            (1e-3..1e5).contains(&tick)
        } else {
            self.step >= 1e-4 && largest < 1e6
        };
        let text = if plain && !self.logarithmic {
            let decimals = (-self.step.log10().floor()).max(0.0) as usize;
            format!("{tick:.decimals$}")
        } else if plain {
            // A power of ten times one, two or five loses no digit.
            let decimals = (-tick.log10().floor()).max(0.0) as usize;
            format!("{tick:.decimals$}")
        } else {
            shortest(tick, self.step)
        };
        // An exponent is written as people type it.
        match text.strip_prefix('-') {
            Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
            Some(rest) => format!("\u{2212}{rest}"),
            None => text,
        }
    }
}

/// Writes a number as `2.5e-5`, with enough digits to differ from its neighbours.
fn shortest(tick: f64, step: f64) -> String {
    if tick == 0.0 {
        return "0".to_owned();
    }
    let digits = if step > 0.0 { tick.abs().log10().floor() - step.log10().floor() } else { 0.0 };
    let text = format!("{tick:.*e}", digits.clamp(0.0, 12.0) as usize);
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite() && value.abs() < LARGEST);
    finite.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    })
}

/// Returns the smallest of 1, 2 and 5 times a power of ten that is at least `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::linear([0.613, 0.887], 5)), "0.6 0.7 0.8 0.9");
        assert_eq!(labels(&Axis::linear([0.8123, 0.8177], 5)), "0.812 0.814 0.816 0.818");
        assert_eq!(labels(&Axis::linear([-0.02, 0.031], 5)), "−0.02 0.00 0.02 0.04");
        assert_eq!(labels(&Axis::linear([1.0, 240.0], 5)), "0 50 100 150 200 250");
        assert_eq!(labels(&Axis::linear([1e-5, 4e-5], 4)), "1e-5 2e-5 3e-5 4e-5");
        assert_eq!(labels(&Axis::linear([0.0, 3e7], 3)), "0 1e7 2e7 3e7");
    }

    #[test]
    fn whole_numbers_have_ticks_however_few_there_are() {
        assert_eq!(labels(&Axis::whole([1.0], 6)), "1");
        assert_eq!(labels(&Axis::whole([1.0, 2.0], 6)), "1 2");
        assert_eq!(labels(&Axis::whole([1.0, 3.0], 6)), "1 2 3");
        assert_eq!(labels(&Axis::whole([1.0, 5.0], 6)), "1 2 3 4 5");
        assert_eq!(labels(&Axis::whole([1.0, 7.0], 6)), "1 2 3 4 5 6 7");
        assert_eq!(labels(&Axis::whole([1.0, 10.0], 6)), "0 2 4 6 8 10");
        assert_eq!(labels(&Axis::whole([1.0, 240.0], 6)), "0 50 100 150 200 250");
        let axis = Axis::whole([1.0], 6);
        assert!(axis.place(1.0).is_some_and(|place| (place - 0.5).abs() < 1e-9));
        assert!(!labels(&Axis::whole([], 6)).is_empty());
        for last in 2..400 {
            let axis = Axis::whole([1.0, f64::from(last)], 6);
            let ticks = axis.ticks();
            assert!((2..=9).contains(&ticks.len()), "{last}: {ticks:?}");
            assert!(ticks.iter().all(|(_, label)| !label.contains('.')), "{last}: {ticks:?}");
        }
    }

    #[test]
    fn decades_get_a_logarithmic_axis() {
        assert_eq!(labels(&Axis::of([1e-5, 1e-4], 5)), "1e-5 2e-5 5e-5 1e-4");
        assert_eq!(labels(&Axis::of([1e-6, 1e-1], 6)), "1e-6 1e-5 1e-4 0.001 0.01 0.1");
        assert_eq!(labels(&Axis::of([1.0, 1e12], 6)), "1 100 10000 1e6 1e8 1e10 1e12");
        assert_eq!(labels(&Axis::of([0.0, 1.0], 2)), "0.0 0.5 1.0");
    }

    #[test]
    fn odd_values_have_an_axis_too() {
        assert_eq!(labels(&Axis::linear([], 2)), "0.0 0.5 1.0");
        assert!(Axis::linear([0.5], 4).place(0.5).is_some_and(|place| (place - 0.5).abs() < 1e-9));
        assert_eq!(Axis::linear([0.0], 4).place(0.0), Some(0.5));
        let axis = Axis::linear([f64::NAN, 0.0, f64::INFINITY, 1.0, f64::MAX], 4);
        assert_eq!(
            (axis.place(0.25), axis.place(f64::NAN), axis.place(2.0)),
            (Some(0.25), None, Some(1.0))
        );
        assert_eq!(Axis::of([1.0, 100.0], 4).place(-1.0), None);
        for values in
            [[f64::MIN_POSITIVE, 2.0 * f64::MIN_POSITIVE], [-1e199, 1e199], [1e15, 1e15 + 1.0]]
        {
            let ticks = Axis::linear(values, 5).ticks();
            assert!((1..20).contains(&ticks.len()), "{values:?}: {ticks:?}");
        }
    }
}
