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
    /// How likely each of the `values` is where a method draws; they sum to 1. Left out: all the
    /// same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Vec<f64>>,
    /// The least value of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// How values are distributed over a range. Left out: `uniform`, or `normal` where `mu` is
    /// given. Where `min` and `max` are both whole numbers it has to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The step of `q_uniform`: values are multiples of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<f64>,
    /// The mean of `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mu: Option<f64>,
    /// The standard deviation of `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// The parameter exists only where others, which stand before it, have these values: a value,
    /// or a list of them, by parameter. Elsewhere the file's own value holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<IndexMap<String, Value>>,
}

/// How values are distributed over a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Evenly from `min` to `max`.
    Uniform,
    /// Whole numbers evenly from `min` to `max`, both included.
    IntUniform,
    /// The logarithm evenly, from that of `min` to that of `max`: `min` and `max` are values.
    LogUniformValues,
    /// Multiples of `q` evenly from `min` to `max`.
    QUniform,
    /// Gaussian with mean `mu` and standard deviation `sigma`; where `min` or `max` is given, cut
    /// off there.
    Normal,
    /// Refused: it means two things.
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
