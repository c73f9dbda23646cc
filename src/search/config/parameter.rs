//! The values that a parameter of a sweep may have.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The values that a parameter may have: a list of `values`, or a range with a `distribution`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The values, one by one: numbers, texts, or whole maps and lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    /// The probability of each of the `values` for methods that draw; they sum to 1. Default: all
    /// equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Vec<f64>>,
    /// The smallest value of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The distribution of values over a range. Default: `normal` if `mu` or `sigma` is given,
    /// `q_uniform` if `q` is given, otherwise `uniform`. It is required if `min` and `max` are both
    /// whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The step of `q_uniform`; values are multiples of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<f64>,
    /// The mean of `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mu: Option<f64>,
    /// The standard deviation of `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// The parameter exists only if an earlier parameter has this value, or one of a list of
    /// values. Otherwise the value in the file applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<IndexMap<String, Value>>,
}

/// How values are distributed over a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Evenly from `min` to `max`.
    Uniform,
    /// Whole numbers from `min` to `max`, both included, with equal probabilities.
    IntUniform,
    /// Values from `min` to `max` whose logarithm is uniform; `min` and `max` are values, not
    /// exponents.
    LogUniformValues,
    /// Multiples of `q` from `min` to `max`, with equal probabilities.
    QUniform,
    /// Gaussian with mean `mu` and standard deviation `sigma`, truncated at `min` and `max` if
    /// given.
    Normal,
    /// Refused, because the name is ambiguous.
    #[schemars(skip)]
    LogUniform,
}

impl Distribution {
    /// Returns the name in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::IntUniform => "int_uniform",
            Distribution::LogUniformValues => "log_uniform_values",
            Distribution::QUniform => "q_uniform",
            Distribution::Normal => "normal",
            Distribution::LogUniform => "log_uniform",
        }
    }
}
