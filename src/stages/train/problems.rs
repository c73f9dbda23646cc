//! Collecting what is wrong with a configuration.

use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::DataFact;

/// The problems of a configuration, in the order in which they are found.
#[derive(Default)]
pub struct Problems(pub(in crate::stages) Vec<CheckError>);

impl Problems {
    pub(in crate::stages) fn add(&mut self, field: &str, message: String, hint: &str) {
        let problem = CheckError::new(field, message);
        self.0.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    }

    pub(in crate::stages) fn at_least_one(&mut self, field: &str, value: u64) {
        if value == 0 {
            self.add(field, "expected at least 1, found 0".to_owned(), "");
        }
    }

    pub(in crate::stages) fn positive(&mut self, field: &str, value: f64) {
        if !(value.is_finite() && value > 0.0) {
            self.add(field, format!("expected a number above 0, found {value}"), "");
        }
    }

    pub(in crate::stages) fn not_negative(&mut self, field: &str, value: f64) {
        if !(value.is_finite() && value >= 0.0) {
            self.add(field, format!("expected 0 or more, found {value}"), "");
        }
    }

    pub(in crate::stages) fn share(&mut self, field: &str, value: f64, one_allowed: bool) {
        let (inside, upper) = if one_allowed {
            ((0.0..=1.0).contains(&value), "to 1")
        } else {
            ((0.0..1.0).contains(&value), "to below 1")
        };
        if !inside {
            self.add(field, format!("expected a share from 0 {upper}, found {value}"), "");
        }
    }

    pub(in crate::stages) fn wants_dev(&mut self, field: &str, data: &DataFact) {
        if !data.has_dev {
            self.add(
                field,
                "the data set has no dev split, and test data must not drive any choice".to_owned(),
                "set a dev split in the `load` stage: `split: { test: 0.3, dev: 0.1 }`",
            );
        }
    }
}
