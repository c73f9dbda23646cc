//! The values behind an axis, and the mapping from its coordinates to them.

use serde_json::{Number, Value};
use statrs::distribution::{ContinuousCDF, Normal};

use super::space::AxisKind;

/// The values of one parameter, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// An unordered list with probabilities.
    Choice {
        values: Vec<Value>,
        probabilities: Vec<f64>,
    },
    /// Numbers in rising or falling order.
    Ordered(Vec<Value>),
    Uniform {
        min: f64,
        max: f64,
    },
    LogUniform {
        min: f64,
        max: f64,
    },
    /// Whole numbers, both ends included.
    Integers {
        min: i64,
        max: i64,
    },
    /// `first · q, (first + 1) · q, …, last · q`.
    Multiples {
        first: i64,
        last: i64,
        q: f64,
    },
    /// A Gaussian, truncated at two of its quantiles.
    Normal {
        mu: f64,
        sigma: f64,
        low: f64,
        high: f64,
        /// The points where it is truncated.
        min: f64,
        max: f64,
    },
}

/// Significant digits of drawn numbers: enough for any hyperparameter and readable in a table. They
/// hide the last bit of a logarithm, which differs between machines.
const DIGITS: usize = 6;

impl Domain {
    /// Returns a Gaussian truncated at `min` and `max` if given; `None` if no mass is left.
    pub fn normal(mu: f64, sigma: f64, min: Option<f64>, max: Option<f64>) -> Option<Domain> {
        let normal = Normal::new(mu, sigma).ok()?;
        let low = min.map_or(0.0, |min| normal.cdf(min));
        let high = max.map_or(1.0, |max| normal.cdf(max));
        let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
        (low < high).then_some(Domain::Normal { mu, sigma, low, high, min, max })
    }

    /// Returns the axis for the search.
    pub fn axis(&self) -> AxisKind {
        match self {
            Domain::Choice { probabilities, .. } => AxisKind::Choice(probabilities.clone()),
            Domain::Uniform { .. } | Domain::LogUniform { .. } | Domain::Normal { .. } => {
                AxisKind::Continuous
            }
            _ => AxisKind::Steps(self.count().unwrap_or(1)),
        }
    }

    /// Returns the number of values if it is finite.
    pub fn count(&self) -> Option<usize> {
        let between =
            |first: i64, last: i64| usize::try_from(i128::from(last) - i128::from(first) + 1).ok();
        match self {
            Domain::Choice { values, .. } | Domain::Ordered(values) => Some(values.len()),
            Domain::Integers { min, max } => between(*min, *max),
            Domain::Multiples { first, last, .. } => between(*first, *last),
            Domain::Uniform { .. } | Domain::LogUniform { .. } | Domain::Normal { .. } => None,
        }
    }

    /// Returns the value at a coordinate of the axis.
    pub fn value(&self, coordinate: f64) -> Value {
        let index = coordinate.max(0.0) as usize;
        match self {
            Domain::Choice { values, .. } | Domain::Ordered(values) => {
                values.get(index.min(values.len().saturating_sub(1))).cloned().unwrap_or_default()
            }
            Domain::Uniform { min, max } => number(min + coordinate * (max - min), *min, *max),
            Domain::LogUniform { min, max } => {
                let exponent = min.ln() + coordinate * (max.ln() - min.ln());
                number(exponent.exp(), *min, *max)
            }
            Domain::Integers { min, max } => {
                Value::from(min.saturating_add(index as i64).min(*max))
            }
            Domain::Multiples { first, last, q } => {
                let multiple = first.saturating_add(index as i64).min(*last) as f64 * q;
                number(multiple, f64::NEG_INFINITY, f64::INFINITY)
            }
            Domain::Normal { mu, sigma, low, high, min, max } => {
                // The ends of an untruncated Gaussian are infinite.
                let share = (low + coordinate * (high - low)).clamp(1e-9, 1.0 - 1e-9);
                match Normal::new(*mu, *sigma) {
                    Ok(normal) => number(normal.inverse_cdf(share), *min, *max),
                    Err(_) => Value::from(*mu),
                }
            }
        }
    }

    /// Returns values that represent the domain: all values of a list, or the ends and the middle
    /// of a range.
    pub fn examples(&self) -> Vec<Value> {
        match self {
            Domain::Choice { values, .. } | Domain::Ordered(values) => values.clone(),
            _ => match self.count() {
                Some(count) => {
                    let mut places = vec![0, count / 2, count - 1];
                    places.dedup();
                    places.iter().map(|&place| self.value(place as f64)).collect()
                }
                None => [0.0, 0.5, 1.0].iter().map(|&place| self.value(place)).collect(),
            },
        }
    }
}

/// Rounds to [`DIGITS`] within the bounds; a whole number is written without a point.
fn number(value: f64, min: f64, max: f64) -> Value {
    let rounded: f64 = format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value);
    let rounded = rounded.max(min).min(max);
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        return Value::from(rounded as i64);
    }
    Number::from_f64(rounded).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn coordinates_become_values() {
        let values = |domain: &Domain, places: &[f64]| -> Vec<Value> {
            places.iter().map(|&place| domain.value(place)).collect()
        };
        let uniform = Domain::Uniform { min: 0.0, max: 0.5 };
        assert_eq!(values(&uniform, &[0.0, 0.5, 1.0]), [json!(0), json!(0.25), json!(0.5)]);
        let log = Domain::LogUniform { min: 1e-5, max: 1e-3 };
        assert_eq!(values(&log, &[0.0, 0.5, 1.0]), [json!(1e-5), json!(1e-4), json!(1e-3)]);
        let whole = Domain::Integers { min: -1, max: 2 };
        assert_eq!(whole.axis(), AxisKind::Steps(4));
        assert_eq!(values(&whole, &[0.0, 3.0, 9.0]), [json!(-1), json!(2), json!(2)]);
        let tenths = Domain::Multiples { first: 1, last: 5, q: 0.1 };
        assert_eq!(values(&tenths, &[0.0, 2.0, 4.0]), [json!(0.1), json!(0.3), json!(0.5)]);
        let normal = Domain::normal(1.0, 2.0, None, None);
        assert_eq!(normal.map(|normal| normal.value(0.5)), Some(json!(1)));
        let cut = Domain::normal(0.0, 1.0, Some(0.0), None);
        assert_eq!(cut.map(|cut| cut.value(0.0)), Some(json!(0)));
        assert_eq!(Domain::normal(0.0, 1.0, Some(1.0), Some(-1.0)), None);
    }

    #[test]
    fn a_drawn_number_is_short() {
        let number = |value: f64| super::number(value, f64::NEG_INFINITY, 0.999_999_9);
        assert_eq!(number(2.348_170_912e-5), json!(2.34817e-5));
        assert_eq!(number(0.1 + 0.2), json!(0.3));
        assert_eq!(number(-64.0), json!(-64));
        assert_eq!(number(0.999_999_8), json!(0.999_999_9), "rounding crosses no bound");
        let tail = Domain::normal(0.0, 1.0, Some(6.5), Some(7.0));
        assert_eq!(tail.map(|tail| tail.value(0.5)), Some(json!(6.5)));
    }
}
