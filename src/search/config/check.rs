//! The checks of a sweep that do not need the pipeline, and the checked parameters.

use std::collections::HashSet;

use serde_json::Value;

use super::method::{Method, Sample};
use super::parameter::{Distribution, Parameter};
use super::sweep::{Stop, Sweep};
use crate::search::domain::Domain;
use crate::search::quasi_random;
use crate::search::space::{Axis, Condition, Space};

/// A fault of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of keys below `sweep`. A parameter's dotted key is a single element.
    pub keys: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

/// The parameters of a sweep, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// The dotted keys, in the order of the axes.
    pub keys: Vec<String>,
    pub domains: Vec<Domain>,
    pub space: Space,
}

impl Fault {
    fn new(keys: &[&str], message: impl Into<String>) -> Fault {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Fault { keys, message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }
}

impl Sweep {
    /// Checks everything that does not need the pipeline; returns the parameters, or all faults.
    pub fn check(&self) -> Result<Parameters, Vec<Fault>> {
        let mut faults = Vec::new();
        self.check_numbers(&mut faults);
        let mut found = Parameters::default();
        for (key, parameter) in &self.parameters {
            let domain = match domain(key, parameter) {
                Ok(domain) => domain,
                Err(more) => {
                    faults.extend(more);
                    continue;
                }
            };
            let condition = match condition(key, parameter, &found, self) {
                Ok(condition) => condition,
                Err(fault) => {
                    faults.push(fault);
                    None
                }
            };
            self.check_enumerable(key, parameter, &domain, &mut faults);
            found.space.axes.push(Axis { kind: domain.axis(), condition });
            found.keys.push(key.clone());
            found.domains.push(domain);
        }
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }

    /// Returns whether the method uses the results of trials.
    pub fn needs_metric(&self) -> bool {
        self.stop.is_some()
            || !matches!(self.method, Method::Grid | Method::Random(_) | Method::QuasiRandom(_))
    }

    /// Returns the number of epochs before a trial is first judged, if trials may be stopped early.
    pub fn min_epochs(&self) -> Option<u32> {
        match (&self.method, &self.stop) {
            (Method::Asha(asha), _) => Some(asha.min_epochs),
            (Method::Hyperband(hyperband), _) => Some(hyperband.min_epochs),
            (_, Some(Stop::Median(median))) => Some(median.min_epochs),
            (_, None) => None,
        }
    }

    fn samples_grid(&self) -> bool {
        matches!(&self.method, Method::Grid)
            || matches!(&self.method, Method::Asha(asha) if asha.sample == Sample::Grid)
    }

    fn samples_quasi_randomly(&self) -> bool {
        match &self.method {
            Method::QuasiRandom(_) => true,
            Method::Asha(asha) => asha.sample == Sample::QuasiRandom,
            Method::Hyperband(hyperband) => hyperband.sample == Sample::QuasiRandom,
            _ => false,
        }
    }

    fn check_numbers(&self, faults: &mut Vec<Fault>) {
        let mut at_least = |keys: &[&str], value: u64, least: u64| {
            if value < least {
                faults.push(Fault::new(keys, format!("expected at least {least}, found {value}")));
            }
        };
        let size = |value: usize| value as u64;
        match &self.method {
            Method::Grid => {}
            Method::Random(random) => {
                at_least(&["method", "random", "trials"], size(random.trials), 1)
            }
            Method::QuasiRandom(quasi) => {
                at_least(&["method", "quasi_random", "trials"], size(quasi.trials), 1);
            }
            Method::Tpe(guided) | Method::Gp(guided) => {
                let name = if matches!(self.method, Method::Gp(_)) { "gp" } else { "tpe" };
                at_least(&["method", name, "trials"], size(guided.trials), 1);
                at_least(&["method", name, "pending"], size(guided.pending), 1);
            }
            Method::Asha(asha) => {
                at_least(&["method", "asha", "trials"], size(asha.trials), 1);
                at_least(&["method", "asha", "pending"], size(asha.pending), 1);
                at_least(&["method", "asha", "min_epochs"], asha.min_epochs.into(), 1);
                at_least(&["method", "asha", "reduction"], asha.reduction.into(), 2);
            }
            Method::Hyperband(hyperband) => {
                at_least(&["method", "hyperband", "min_epochs"], hyperband.min_epochs.into(), 1);
                at_least(&["method", "hyperband", "reduction"], hyperband.reduction.into(), 2);
            }
        }
        if let Some(Stop::Median(median)) = &self.stop {
            at_least(&["stop", "median", "min_epochs"], median.min_epochs.into(), 1);
            at_least(&["stop", "median", "interval"], median.interval.into(), 1);
            at_least(&["stop", "median", "pending"], size(median.pending), 1);
        }
        if let Some(cap) = self.run_cap {
            at_least(&["run_cap"], size(cap), 1);
        }
        if matches!(&self.method, Method::Hyperband(hyperband) if hyperband.sample == Sample::Grid)
        {
            let keys = ["method", "hyperband", "sample"];
            let fault = Fault::new(
                &keys,
                "hyperband sets the number of trials itself, so it would run only part of a grid",
            );
            faults.push(fault.hint(
                "`asha` runs a whole grid; with hyperband use `random`, `quasi_random` or `tpe`",
            ));
        }
        if self.stop.is_some() && matches!(self.method, Method::Asha(_) | Method::Hyperband(_)) {
            let fault = Fault::new(&["stop"], "the method already stops trials early");
            faults.push(fault.hint("remove `stop`, or use another method"));
        }
        if let Some(seeds) = &self.seeds {
            if seeds.is_empty() {
                faults.push(
                    Fault::new(&["seeds"], "there are no seeds")
                        .hint("remove `seeds` to run with the seed of the file"),
                );
            }
            let mut seen = HashSet::new();
            if let Some(seed) = seeds.iter().find(|seed| !seen.insert(**seed)) {
                faults.push(Fault::new(
                    &["seeds"],
                    format!("expected every seed once, found {seed} twice"),
                ));
            }
        }
        if self.samples_quasi_randomly() && self.parameters.len() > quasi_random::MOST_AXES {
            let (most, found) = (quasi_random::MOST_AXES, self.parameters.len());
            let fault = Fault::new(
                &["parameters"],
                format!("a Sobol sequence has at most {most} parameters, found {found}"),
            );
            faults.push(fault.hint("use `random`"));
        }
        if let Method::QuasiRandom(quasi) = &self.method
            && quasi.trials as u64 > quasi_random::MOST_POINTS
        {
            let (most, found) = (quasi_random::MOST_POINTS, quasi.trials);
            let keys = ["method", "quasi_random", "trials"];
            let fault = Fault::new(
                &keys,
                format!("a Sobol sequence has {most} points, found {found} trials"),
            );
            faults.push(fault.hint("use `random`"));
        }
    }

    /// A grid needs values that can be counted, and gives each the same weight.
    fn check_enumerable(
        &self,
        key: &str,
        parameter: &Parameter,
        domain: &Domain,
        faults: &mut Vec<Fault>,
    ) {
        if !self.samples_grid() {
            return;
        }
        if domain.count().is_none() {
            let fault = Fault::new(
                &["parameters", key],
                format!("a grid cannot run every value of the range `{key}`"),
            );
            faults.push(fault.hint(
                "list `values`, give a `q_uniform` or `int_uniform` range, or use another method, \
                 such as `quasi_random`",
            ));
        }
        if parameter.probabilities.is_some() {
            let fault =
                Fault::new(&["parameters", key, "probabilities"], "a grid runs every value once");
            faults.push(fault.hint("remove `probabilities`, or use `random`"));
        }
    }
}

/// Returns the same value with all keys sorted, so that equal values have equal texts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Returns the values of a parameter, or all its faults.
fn domain(key: &str, parameter: &Parameter) -> Result<Domain, Vec<Fault>> {
    let at = |field: &str, message: String| Fault::new(&["parameters", key, field], message);
    let Some(values) = &parameter.values else {
        if parameter.probabilities.is_some() {
            return Err(vec![
                at("probabilities", "`probabilities` need `values`".to_owned())
                    .hint("set the `distribution` of a range instead"),
            ]);
        }
        return range(key, parameter).map_err(|fault| vec![fault]);
    };
    let range_keys = [
        ("min", parameter.min.is_some()),
        ("max", parameter.max.is_some()),
        ("distribution", parameter.distribution.is_some()),
        ("q", parameter.q.is_some()),
        ("mu", parameter.mu.is_some()),
        ("sigma", parameter.sigma.is_some()),
    ];
    if let Some((name, _)) = range_keys.iter().find(|(_, given)| *given) {
        return Err(vec![
            at(name, format!("`values` and `{name}` exclude each other"))
                .hint("list `values`, or give a range with `min` and `max`"),
        ]);
    }
    if values.is_empty() {
        return Err(vec![at("values", format!("`{key}` has no values")).hint("list at least one")]);
    }
    let mut seen = HashSet::new();
    if let Some(value) = values.iter().find(|value| !seen.insert(sorted(value).to_string())) {
        return Err(vec![at(
            "values",
            format!("expected every value once, found `{value}` twice"),
        )]);
    }
    let Some(probabilities) = &parameter.probabilities else {
        let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
        let ordered = numbers.is_some_and(|numbers| {
            numbers.windows(2).all(|pair| pair[0] < pair[1])
                || numbers.windows(2).all(|pair| pair[0] > pair[1])
        });
        let even = vec![1.0 / values.len() as f64; values.len()];
        return Ok(match ordered {
            true => Domain::Ordered(values.clone()),
            false => Domain::Choice { values: values.clone(), probabilities: even },
        });
    };
    let (given, expected) = (probabilities.len(), values.len());
    if given != expected {
        return Err(vec![at(
            "probabilities",
            format!("expected a probability for each of the {expected} values, found {given}"),
        )]);
    }
    if let Some(odd) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(vec![at(
            "probabilities",
            format!("expected numbers from 0 to 1, found {odd}"),
        )]);
    }
    let sum: f64 = probabilities.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(vec![
            at("probabilities", format!("expected a sum of 1, found {sum}"))
                .hint("remove `probabilities` to make them equal"),
        ]);
    }
    let probabilities = probabilities.iter().map(|p| p / sum).collect();
    Ok(Domain::Choice { values: values.clone(), probabilities })
}

/// Returns a range, or its fault.
fn range(key: &str, parameter: &Parameter) -> Result<Domain, Fault> {
    let at = |field: &str, message: String| Fault::new(&["parameters", key, field], message);
    let whole = |message: String| Fault::new(&["parameters", key], message);
    let about_normal = parameter.mu.is_some() || parameter.sigma.is_some();
    let distribution = match parameter.distribution {
        Some(given) => given,
        None if about_normal => Distribution::Normal,
        None if parameter.q.is_some() => Distribution::QUniform,
        None => {
            let whole_ends = [parameter.min, parameter.max]
                .iter()
                .all(|end| end.is_some_and(|end| end.fract() == 0.0));
            if whole_ends {
                let ends = format!(
                    "{} and {}",
                    parameter.min.unwrap_or_default(),
                    parameter.max.unwrap_or_default()
                );
                return Err(whole(format!(
                    "{ends} are whole numbers, so it is unclear whether `{key}` is whole"
                ))
                .hint("set `distribution: int_uniform` or `distribution: uniform`"));
            }
            Distribution::Uniform
        }
    };
    let unused = [
        ("q", parameter.q.is_some() && distribution != Distribution::QUniform, "q_uniform"),
        ("mu", parameter.mu.is_some() && distribution != Distribution::Normal, "normal"),
        ("sigma", parameter.sigma.is_some() && distribution != Distribution::Normal, "normal"),
    ];
    if let Some((name, _, of)) = unused.iter().find(|(_, odd, _)| *odd) {
        return Err(at(
            name,
            format!("`{name}` is a setting of `{of}`, not of `{}`", distribution.name()),
        ));
    }
    if distribution == Distribution::LogUniform {
        return Err(at("distribution", "`log_uniform` is ambiguous".to_owned()).hint(
            "in some tools `min` and `max` are values, in others exponents of e; use \
             `log_uniform_values` with values, such as `{ min: 1e-5, max: 1e-3 }`",
        ));
    }
    if distribution == Distribution::Normal {
        let (Some(mu), Some(sigma)) = (parameter.mu, parameter.sigma) else {
            return Err(whole(format!("`{key}` lacks `mu` or `sigma`"))
                .hint("`normal` needs both; `min` and `max` truncate it"));
        };
        if sigma <= 0.0 {
            return Err(at("sigma", format!("expected a number above 0, found {sigma}")));
        }
        return Domain::normal(mu, sigma, parameter.min, parameter.max).ok_or_else(|| {
            whole(format!("the Gaussian of `{key}` has no mass between `min` and `max`"))
        });
    }
    let (Some(min), Some(max)) = (parameter.min, parameter.max) else {
        return Err(match (parameter.min, parameter.max) {
            (None, None) => whole(format!("`{key}` has no values")),
            (None, _) => whole(format!("`{key}` has a `max` but no `min`")),
            _ => whole(format!("`{key}` has a `min` but no `max`")),
        }
        .hint("list `values`, or give `min` and `max`"));
    };
    /// A float identifies every whole number up to here.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if min >= max {
        return Err(at("min", format!("expected `min` below `max`, found {min} and {max}")));
    }
    match distribution {
        Distribution::IntUniform => match [min, max].iter().find(|end| end.fract() != 0.0) {
            None if min < -WHOLE || max > WHOLE => {
                Err(whole(format!("`int_uniform` needs ends of at most {WHOLE:.0}")))
            }
            Some(odd) => {
                Err(whole(format!("`int_uniform` needs whole numbers as ends, found {odd}"))
                    .hint("`uniform` accepts any numbers"))
            }
            None => Ok(Domain::Integers { min: min as i64, max: max as i64 }),
        },
        Distribution::LogUniformValues if min <= 0.0 => {
            Err(at("min", format!("a logarithm needs a `min` above 0, found {min}")).hint(
                "start at the smallest useful value, such as 1e-6; to include 0, list `values`",
            ))
        }
        Distribution::LogUniformValues => Ok(Domain::LogUniform { min, max }),
        Distribution::QUniform => {
            let Some(q) = parameter.q else {
                return Err(whole(format!("`{key}` lacks `q`"))
                    .hint("`q_uniform` gives multiples of `q`, such as `q: 8`"));
            };
            if q <= 0.0 {
                return Err(at("q", format!("expected a number above 0, found {q}")));
            }
            // Rounding of a quotient must not lose a value at the ends.
            let (first, last) = ((min / q - 1e-9).ceil(), (max / q + 1e-9).floor());
            if first < -WHOLE || last > WHOLE {
                return Err(at("q", format!("{q} is too small beside {min} and {max}")));
            }
            if first > last {
                return Err(at("q", format!("no multiple of {q} lies between {min} and {max}")));
            }
            Ok(Domain::Multiples { first: first as i64, last: last as i64, q })
        }
        _ => Ok(Domain::Uniform { min, max }),
    }
}

/// Returns the condition of a parameter in terms of axes.
fn condition(
    key: &str,
    parameter: &Parameter,
    before: &Parameters,
    sweep: &Sweep,
) -> Result<Option<Condition>, Fault> {
    let Some(when) = &parameter.when else { return Ok(None) };
    let fault = |message: String| Fault::new(&["parameters", key, "when"], message);
    let mut conditions = when.iter();
    let (Some((other, wanted)), None) = (conditions.next(), conditions.next()) else {
        return Err(fault(format!("expected one parameter with its values, found {}", when.len()))
            .hint(
                "a parameter exists only if the parameter in its condition exists, so conditions \
                 can be chained",
            ));
    };
    let Some(axis) = before.keys.iter().position(|known| known == other) else {
        return Err(match sweep.parameters.contains_key(other) {
            true if other == key => fault(format!("`{key}` depends on itself")),
            true => fault(format!("`{other}` comes after `{key}`, which depends on it"))
                .hint(format!("move `{other}` before `{key}`")),
            false => fault(format!("`{other}` is not a parameter of the sweep")),
        });
    };
    let (Domain::Choice { values, .. } | Domain::Ordered(values)) = &before.domains[axis] else {
        return Err(fault(format!("`{other}` is a range; a condition needs `values`")));
    };
    let wanted: Vec<&Value> = match wanted {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let same = |a: &Value, b: &Value| a == b || (a.is_number() && a.as_f64() == b.as_f64());
    let mut places = Vec::new();
    for value in &wanted {
        match values.iter().position(|known| same(known, value)) {
            Some(place) => places.push(place),
            None => {
                let known: Vec<String> = values.iter().map(|known| format!("`{known}`")).collect();
                return Err(fault(format!("`{value}` is not a value of `{other}`"))
                    .hint(format!("its values are {}", known.join(", "))));
            }
        }
    }
    if places.is_empty() {
        return Err(fault(format!("`{key}` would never exist: the list of values is empty")));
    }
    Ok(Some(Condition { axis, values: places }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sweep(value: Value) -> Sweep {
        serde_json::from_value(value).unwrap_or_default()
    }

    /// The faults of one parameter with a method that accepts ranges.
    fn faults(parameter: Value) -> Vec<String> {
        let sweep = sweep(json!({
            "method": { "random": { "trials": 3 } },
            "parameters": { "params.first": { "values": ["a", "b"] }, "params.x": parameter },
        }));
        assert_eq!(sweep.parameters.len(), 2);
        sweep.check().err().unwrap_or_default().into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn sound_parameters_become_domains() {
        let sound = [
            json!({ "values": [1, "two", { "three": 3 }] }),
            json!({ "values": [1, 2], "probabilities": [0.25, 0.75] }),
            json!({ "min": 0.0, "max": 0.5 }),
            json!({ "min": 1, "max": 8, "distribution": "int_uniform" }),
            json!({ "min": 0, "max": 1, "distribution": "uniform" }),
            json!({ "min": 1e-6, "max": 1e-3, "distribution": "log_uniform_values" }),
            json!({ "min": 8, "max": 64, "q": 8 }),
            json!({ "mu": 0.1, "sigma": 0.05, "min": 0.0 }),
            json!({ "values": [1], "when": { "params.first": "a" } }),
            json!({ "values": [1], "when": { "params.first": ["a", "b"] } }),
        ];
        for parameter in sound {
            assert_eq!(faults(parameter.clone()), Vec::<String>::new(), "{parameter}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            (json!({}), "`params.x` has no values"),
            (json!({ "values": [] }), "`params.x` has no values"),
            (json!({ "values": [1, 1] }), "expected every value once, found `1` twice"),
            (json!({ "values": [1], "min": 0.0 }), "`values` and `min` exclude each other"),
            (
                json!({ "values": [1, 2], "probabilities": [1.0] }),
                "expected a probability for each of the 2 values, found 1",
            ),
            (
                json!({ "values": [1, 2], "probabilities": [0.5, 0.6] }),
                "expected a sum of 1, found 1.1",
            ),
            (
                json!({ "values": [1, 2], "probabilities": [1.5, -0.5] }),
                "expected numbers from 0 to 1, found 1.5",
            ),
            (json!({ "min": 0.1 }), "`params.x` has a `min` but no `max`"),
            (json!({ "min": 0.5, "max": 0.1 }), "expected `min` below `max`, found 0.5 and 0.1"),
            (
                json!({ "min": 0, "max": 1 }),
                "0 and 1 are whole numbers, so it is unclear whether `params.x` is whole",
            ),
            (
                json!({ "min": 0.0, "max": 0.1, "distribution": "log_uniform_values" }),
                "a logarithm needs a `min` above 0, found 0",
            ),
            (
                json!({ "min": -5.0, "max": -1.0, "distribution": "log_uniform" }),
                "`log_uniform` is ambiguous",
            ),
            (
                json!({ "min": 0.5, "max": 3.0, "distribution": "int_uniform" }),
                "`int_uniform` needs whole numbers as ends, found 0.5",
            ),
            (
                json!({ "min": 1.0, "max": 3.0, "distribution": "q_uniform" }),
                "`params.x` lacks `q`",
            ),
            (json!({ "min": 1.0, "max": 3.0, "q": 5.0 }), "no multiple of 5 lies between 1 and 3"),
            (json!({ "mu": 1.0 }), "`params.x` lacks `mu` or `sigma`"),
            (json!({ "mu": 1.0, "sigma": 0.0 }), "expected a number above 0, found 0"),
            (
                json!({ "min": 0.1, "max": 0.2, "distribution": "uniform", "q": 0.1 }),
                "`q` is a setting of `q_uniform`, not of `uniform`",
            ),
            (
                json!({ "values": [1], "when": { "params.second": 1 } }),
                "`params.second` is not a parameter of the sweep",
            ),
            (
                json!({ "values": [1], "when": { "params.first": "c" } }),
                "`\"c\"` is not a value of `params.first`",
            ),
            (json!({ "values": [1], "when": { "params.x": 1 } }), "`params.x` depends on itself"),
        ];
        for (parameter, message) in cases {
            assert_eq!(faults(parameter.clone()), [message], "{parameter}");
        }
    }

    #[test]
    fn a_method_that_does_not_fit_is_told() {
        let message = |value: Value| {
            let faults = sweep(value).check().err().unwrap_or_default();
            faults.first().map(|fault| fault.message.clone()).unwrap_or_default()
        };
        let range = json!({ "params.x": { "min": 0.1, "max": 0.2 } });
        assert_eq!(
            message(json!({ "parameters": range })),
            "a grid cannot run every value of the range `params.x`"
        );
        let seeds = json!({ "parameters": {}, "seeds": [1, 2, 1] });
        assert_eq!(message(seeds), "expected every seed once, found 1 twice");
        let none = json!({ "method": { "tpe": { "trials": 0 } }, "parameters": range });
        assert_eq!(message(none), "expected at least 1, found 0");
        let twice =
            json!({ "method": { "asha": {} }, "stop": { "median": {} }, "parameters": range });
        assert_eq!(message(twice), "the method already stops trials early");
    }
}
