//! Numbers as the report writes them: with a true minus sign, and the same number of decimals
//! within a column.

use serde_json::Value;

use crate::results::results::display_param;
use crate::statistics::Interval;

/// Decimals of metrics.
pub const DECIMALS: usize = 4;

/// Writes a number with a fixed number of decimals.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "\u{2013}".to_owned();
    }
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    }
}

/// Writes a metric.
pub fn metric(value: f64) -> String {
    fixed(value, DECIMALS)
}

/// Writes a difference of metrics, with its sign.
pub fn difference(value: f64) -> String {
    let text = metric(value);
    if value > 0.0 && value.is_finite() { format!("+{text}") } else { text }
}

/// Writes an interval.
pub fn interval(interval: Interval) -> String {
    format!("{} to {}", metric(interval.low), metric(interval.high))
}

/// Writes a probability with three decimals, never rounded to 0.
pub fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { fixed(p, 3) }
}

/// Writes a parameter: whole numbers and texts as they are, other numbers with four digits, which
/// are enough to distinguish drawn values.
pub fn setting(value: &Value) -> String {
    let number = value.as_f64().filter(|_| value.is_f64());
    let rounded = number.and_then(|number| format!("{number:.3e}").parse::<f64>().ok());
    display_param(&rounded.map_or_else(|| value.clone(), Value::from))
}

/// Writes a count with its noun.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number}\u{a0}{}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_as_in_print() {
        assert_eq!(fixed(-0.04, 2), "−0.04");
        assert_eq!(fixed(-0.00001, 2), "0.00");
        assert_eq!(difference(0.031), "+0.0310");
        assert_eq!(difference(-1e-9), "0.0000");
        assert_eq!(fixed(f64::NAN, 2), "–");
        assert_eq!(probability(0.0004), "< 0.001");
        assert_eq!(setting(&Value::from(2.1287962188646214e-5)), "2.129e-5");
        assert_eq!(setting(&Value::from(0.1 + 0.2)), "0.3");
        assert_eq!(setting(&Value::from(123_456)), "123456");
        assert_eq!(count(1, "seed", "seeds"), "1\u{a0}seed");
    }
}
