//! PyTorch's ReduceLROnPlateau, and its settings.

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::objective::DevMetric;
use super::objective::dev_metric::one_of;
use super::problems::Problems;
use crate::stages::contract::stage::DataFact;

/// PyTorch's ReduceLROnPlateau, stepped once per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateau {
    /// The metric to watch.
    #[serde(default)]
    pub monitor: Monitor,
    /// Whether lower or higher is better. It follows from the metric, so another direction is an
    /// error.
    #[serde(default)]
    pub mode: Option<PlateauMode>,
    /// The factor for each reduction of the learning rate.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// Epochs without improvement to tolerate; the rate drops after one more (as in PyTorch).
    #[serde(default = "default_patience")]
    pub patience: u32,
    /// The smallest change that counts as an improvement.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Whether the threshold is a share of the best value or an absolute amount.
    #[serde(default)]
    pub threshold_mode: ThresholdMode,
    /// The number of epochs after a reduction that are not counted.
    #[serde(default)]
    pub cooldown: u32,
    /// The smallest learning rate.
    #[serde(default)]
    pub min_learning_rate: f64,
    /// The smallest reduction that is applied.
    #[serde(default = "default_epsilon")]
    pub epsilon: f64,
}

/// The metric of a plateau schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Monitor {
    /// The mean train loss of the epoch.
    #[default]
    TrainLoss,
    /// The smallest batch loss of the epoch.
    MinTrainLoss,
    /// A metric on dev; its name follows `dev_`.
    Dev(DevMetric),
}

/// What the name of a dev metric begins with.
const DEV: &str = "dev_";
const TRAIN_LOSS: &str = "train_loss";
const MIN_TRAIN_LOSS: &str = "min_train_loss";

/// The names of all that can be watched.
static MONITORS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let of_dev = DevMetric::names().iter().map(|name| &*format!("{DEV}{name}").leak());
    [TRAIN_LOSS, MIN_TRAIN_LOSS].into_iter().chain(of_dev).collect()
});

impl Monitor {
    /// Returns the monitor of a name.
    fn named(name: &str) -> Option<Monitor> {
        match name {
            TRAIN_LOSS => Some(Monitor::TrainLoss),
            MIN_TRAIN_LOSS => Some(Monitor::MinTrainLoss),
            _ => name.strip_prefix(DEV).and_then(DevMetric::named).map(Monitor::Dev),
        }
    }

    /// Returns its name.
    fn name(self) -> String {
        match self {
            Monitor::TrainLoss => TRAIN_LOSS.to_owned(),
            Monitor::MinTrainLoss => MIN_TRAIN_LOSS.to_owned(),
            Monitor::Dev(metric) => format!("{DEV}{}", metric.name()),
        }
    }

    /// Returns the direction in which it improves.
    fn mode(self) -> PlateauMode {
        match self {
            Monitor::Dev(metric) if !metric.less_is_better() => PlateauMode::Max,
            _ => PlateauMode::Min,
        }
    }
}

impl Serialize for Monitor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Monitor, D::Error> {
        one_of(deserializer, &MONITORS, Monitor::named)
    }
}

impl JsonSchema for Monitor {
    fn schema_name() -> Cow<'static, str> {
        "Monitor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": &*MONITORS,
            "description": "The mean or the least batch loss of the epoch, or a metric on dev.",
        })
    }
}

/// Whether lower or higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    Min,
    Max,
}

/// Whether a threshold is a share of the best value or an absolute amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    #[default]
    Rel,
    Abs,
}

impl ReduceOnPlateau {
    /// Reports settings that no training can be done with.
    pub(super) fn check(&self, data: &DataFact, problems: &mut Problems) {
        if !(self.factor > 0.0 && self.factor < 1.0) {
            problems.add(
                "schedule.reduce_on_plateau.factor",
                format!("expected more than 0 and less than 1, found {}", self.factor),
                "",
            );
        }
        problems.not_negative("schedule.reduce_on_plateau.threshold", self.threshold);
        problems
            .not_negative("schedule.reduce_on_plateau.min_learning_rate", self.min_learning_rate);
        problems.not_negative("schedule.reduce_on_plateau.epsilon", self.epsilon);
        let follows = self.monitor.mode();
        if self.mode.is_some_and(|mode| mode != follows) {
            let (better, mode) = match follows {
                PlateauMode::Min => ("less", "min"),
                PlateauMode::Max => ("more", "max"),
            };
            problems.add(
                "schedule.reduce_on_plateau.mode",
                format!("{better} of `{}` is better", self.monitor.name()),
                &format!("leave out `mode`, which is `{mode}` here"),
            );
        }
        if matches!(self.monitor, Monitor::Dev(_)) {
            problems.wants_dev("schedule.reduce_on_plateau.monitor", data);
        }
    }
}

/// The state of a plateau schedule; `step` is called once per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Of each parameter group, before the rest of the schedule.
    pub learning_rates: Vec<f64>,
    /// `None` before the first value that is better than the worst.
    best: Option<f64>,
    bad_epochs: u32,
    cooldown_left: u32,
}

impl Plateau {
    /// Starts with the learning rate of each parameter group.
    pub fn new(learning_rates: Vec<f64>) -> Plateau {
        Plateau { learning_rates, best: None, bad_epochs: 0, cooldown_left: 0 }
    }

    /// Takes an epoch's value and returns whether a learning rate was reduced. A value that is
    /// not a number is a bad one.
    pub fn step(&mut self, settings: &ReduceOnPlateau, value: f64) -> bool {
        if self.is_better(settings, value) {
            self.best = Some(value);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown_left > 0 {
            self.cooldown_left -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs <= settings.patience {
            return false;
        }
        self.cooldown_left = settings.cooldown;
        self.bad_epochs = 0;
        let mut is_reduced = false;
        for rate in &mut self.learning_rates {
            let reduced = (*rate * settings.factor).max(settings.min_learning_rate);
            if *rate - reduced > settings.epsilon {
                *rate = reduced;
                is_reduced = true;
            }
        }
        is_reduced
    }

    fn is_better(&self, settings: &ReduceOnPlateau, value: f64) -> bool {
        // PyTorch starts from the worst value there is, so that a first loss of infinity is a bad
        // epoch.
        let mode = settings.mode.unwrap_or_else(|| settings.monitor.mode());
        let worst = match mode {
            PlateauMode::Min => f64::INFINITY,
            PlateauMode::Max => f64::NEG_INFINITY,
        };
        let best = self.best.unwrap_or(worst);
        match (mode, settings.threshold_mode) {
            (PlateauMode::Min, ThresholdMode::Rel) => value < best * (1.0 - settings.threshold),
            (PlateauMode::Min, ThresholdMode::Abs) => value < best - settings.threshold,
            (PlateauMode::Max, ThresholdMode::Rel) => value > best * (1.0 + settings.threshold),
            (PlateauMode::Max, ThresholdMode::Abs) => value > best + settings.threshold,
        }
    }
}

fn default_factor() -> f64 {
    0.1
}
fn default_patience() -> u32 {
    10
}
fn default_threshold() -> f64 {
    1e-4
}
fn default_epsilon() -> f64 {
    1e-8
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Without a mode it is the metric that knows which way is up.
    #[test]
    fn what_is_watched_sets_the_direction() -> Result<(), serde_json::Error> {
        for (monitor, mode) in [
            ("train_loss", PlateauMode::Min),
            ("min_train_loss", PlateauMode::Min),
            ("dev_loss", PlateauMode::Min),
            ("dev_brier", PlateauMode::Min),
            ("dev_mcc", PlateauMode::Max),
            ("dev_accuracy", PlateauMode::Max),
        ] {
            let settings: ReduceOnPlateau = serde_json::from_value(json!({ "monitor": monitor }))?;
            assert_eq!(settings.monitor.mode(), mode, "{monitor}");
            assert_eq!(serde_json::to_value(settings.monitor)?, monitor);
            let mut plateau = Plateau::new(vec![1.0]);
            plateau.step(&settings, 0.5);
            let better = if mode == PlateauMode::Min { 0.25 } else { 0.75 };
            assert!(plateau.is_better(&settings, better), "{monitor}");
            assert!(!plateau.is_better(&settings, 1.0 - better), "{monitor}");
        }
        Ok(())
    }

    /// The learning rates that PyTorch's own class gave; tests/record_schedules.py recorded them.
    const RECORDED: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/plateau.json"));

    fn number(value: &Value) -> f64 {
        match value.as_str() {
            Some(name) => name.parse().expect("`nan` or `inf`"),
            None => value.as_f64().expect("a number"),
        }
    }

    #[test]
    fn learning_rates_are_pytorchs() {
        let recorded: Value = serde_json::from_str(RECORDED).expect("recorded figures");
        let cases = recorded["cases"].as_array().expect("cases");
        assert!(cases.len() > 10);
        for (index, case) in cases.iter().enumerate() {
            let options = &case["options"];
            let settings = ReduceOnPlateau {
                monitor: Monitor::default(),
                mode: Some(match options["mode"] == "min" {
                    true => PlateauMode::Min,
                    false => PlateauMode::Max,
                }),
                factor: number(&options["factor"]),
                patience: number(&options["patience"]) as u32,
                threshold: number(&options["threshold"]),
                threshold_mode: if options["threshold_mode"] == "rel" {
                    ThresholdMode::Rel
                } else {
                    ThresholdMode::Abs
                },
                cooldown: number(&options["cooldown"]) as u32,
                min_learning_rate: number(&options["min_lr"]),
                epsilon: number(&options["eps"]),
            };
            let mut plateau = Plateau::new(vec![number(&case["learning_rate"])]);
            let (values, rates) = (
                case["values"].as_array().expect("values"),
                case["rates"].as_array().expect("rates"),
            );
            assert_eq!(values.len(), rates.len());
            for (epoch, (value, expected)) in values.iter().zip(rates).enumerate() {
                let before = plateau.learning_rates[0];
                let reduced = plateau.step(&settings, number(value));
                let expected = number(expected);
                assert!(
                    (plateau.learning_rates[0] / expected - 1.0).abs() < 1e-12,
                    "case {index} {options}, epoch {epoch}: expected {expected}, found {}",
                    plateau.learning_rates[0]
                );
                assert_eq!(reduced, plateau.learning_rates[0] != before);
                // What a checkpoint keeps is all that there is.
                let kept = serde_json::to_string(&plateau).expect("a plateau can be written");
                assert_eq!(serde_json::from_str::<Plateau>(&kept).expect("and read"), plateau);
            }
        }
    }
}
