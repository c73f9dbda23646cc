//! The metrics that a training may be watched by: the loss, and every metric of an evaluation.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::metrics;

/// All names, the loss first.
static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| [DevMetric::LOSS.0].into_iter().chain(metrics::names()).collect());

/// A metric on dev, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevMetric(&'static str);

impl DevMetric {
    /// The loss of the objective, without class weights and label smoothing.
    pub const LOSS: DevMetric = DevMetric("loss");

    /// Lists the names, the loss first.
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }

    /// Returns the metric of a name.
    pub fn named(name: &str) -> Option<DevMetric> {
        NAMES.iter().find(|known| **known == name).map(|known| DevMetric(known))
    }

    /// Returns the metric's name.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Returns whether smaller values are better.
    pub fn less_is_better(self) -> bool {
        self == DevMetric::LOSS || metrics::less_is_better(self.0)
    }
}

impl Default for DevMetric {
    fn default() -> DevMetric {
        DevMetric::LOSS
    }
}

impl Serialize for DevMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for DevMetric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DevMetric, D::Error> {
        one_of(deserializer, DevMetric::names(), DevMetric::named)
    }
}

/// Reads one of these names, with the faults that an enum has.
pub(in crate::stages::train) fn one_of<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    names: &'static [&'static str],
    named: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_enum("name", names, OneOf { names, named })
}

struct OneOf<T> {
    names: &'static [&'static str],
    named: fn(&str) -> Option<T>,
}

impl<'de, T> Visitor<'de> for OneOf<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<T, A::Error> {
        let (name, settings) = data.variant::<String>()?;
        settings.unit_variant()?;
        (self.named)(&name).ok_or_else(|| de::Error::unknown_variant(&name, self.names))
    }
}

impl JsonSchema for DevMetric {
    fn schema_name() -> Cow<'static, str> {
        "DevMetric".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": DevMetric::names(),
            "description": "A metric on dev: the cross-entropy `loss`, or a metric of an \
                            evaluation.",
        })
    }
}

/// The dev metrics at the end of an epoch, by name. An undefined metric is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DevMetrics(pub IndexMap<String, f64>);

impl DevMetrics {
    /// Returns a metric; one that is undefined is not a number.
    pub fn value(&self, metric: DevMetric) -> f64 {
        self.0.get(metric.name()).copied().unwrap_or(f64::NAN)
    }

    /// Returns a metric, turned so that more is better.
    pub fn score(&self, metric: DevMetric) -> f64 {
        let value = self.value(metric);
        if metric.less_is_better() { -value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_of_a_score_is_better() {
        let values = [("loss", 0.5), ("nll", 0.25), ("mcc", -0.75)];
        let dev =
            DevMetrics(values.map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
        let score = |name| DevMetric::named(name).map(|metric| dev.score(metric));
        assert_eq!(
            [score("loss"), score("nll"), score("mcc"), score("none")],
            [Some(-0.5), Some(-0.25), Some(-0.75), None]
        );
        assert!(score("kappa").is_some_and(f64::is_nan), "it is undefined");
    }

    #[test]
    fn names_read_back() -> Result<(), serde_json::Error> {
        for name in DevMetric::names() {
            let metric: DevMetric = serde_json::from_value((*name).into())?;
            assert_eq!((metric.name(), serde_json::to_value(metric)?), (*name, (*name).into()));
        }
        let error = serde_json::from_value::<DevMetric>("macro_f2".into()).err();
        assert!(error.is_some_and(|error| error.to_string().contains("macro_f1")));
        Ok(())
    }
}
