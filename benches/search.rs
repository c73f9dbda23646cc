//! Lets the searches minimise test functions beside Optuna's: what they find in so many trials, and
//! how long a suggestion takes.
//!
//! `cargo bench --bench search -- [--python PYTHON] [--trials N] [--seeds N] [--sets N]
//! [--functions branin,…] [--methods tpe,gp]`. Without `--python` (an interpreter with what
//! benches/peers/requirements.txt names) the peer is left out. `--sets` repeats our side with so
//! many other sets of seeds. Goals: medians no worse than Optuna's, and 1000 suggestions of TPE in
//! a space of five parameters in 2 s.

use std::f64::consts::{E, PI};
use std::io::Write as _;
use std::process::{Command, Stdio};

use pipe::base::clock::Stopwatch;
use pipe::base::seed::stream;
use pipe::search::{
    Axis, AxisKind, Condition, Observation, Outcome, Point, Space, gaussian_process, quasi_random,
    random, tpe,
};
use serde_json::Value;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        arguments
            .iter()
            .position(|argument| argument == flag)
            .and_then(|at| arguments.get(at + 1))
            .cloned()
    };
    let number =
        |flag: &str, default: u64| value(flag).map_or(Ok(default), |text| text.parse::<u64>());
    let (trials, seeds, sets) =
        (number("--trials", 100)?, number("--seeds", 20)?, number("--sets", 1)?);
    let functions = value("--functions").unwrap_or_else(|| "branin,hartmann6".to_owned());
    let methods = value("--methods").unwrap_or_else(|| "random,quasi_random,tpe,gp".to_owned());
    let python = value("--python");
    let mut out = std::io::stdout();
    writeln!(out, "{trials} trials, {seeds} seeds: quartiles of the best value\n")?;
    writeln!(
        out,
        "{:<12} {:<14} {:<8} {:>10} {:>10} {:>10} {:>12}",
        "function", "method", "by", "lower", "median", "upper", "s per search"
    )?;
    for name in functions.split(',') {
        let function = function(name).ok_or_else(|| format!("there is no function `{name}`"))?;
        for method in methods.split(',') {
            for set in 0..sets {
                let watch = Stopwatch::start();
                let search = |seed| best(&function, method, trials, set * seeds + seed);
                let found = (0..seeds).map(search).collect::<Result<Vec<f64>, AnyError>>()?;
                let seconds = watch.seconds() / seeds as f64;
                row(&mut out, name, method, "pipe", found, seconds)?;
            }
            if let (Some(python), "tpe" | "gp") = (&python, method) {
                let (found, seconds) = peer(python, method, name, trials, seeds)?;
                row(&mut out, name, method, "Optuna", found, seconds)?;
            }
        }
    }
    writeln!(out, "\n{:<44} {:>8} {:>8}", "suggestions, five parameters", "s", "goal s")?;
    for (method, count, goal) in [("tpe", 1000, "2"), ("gp", 100, "")] {
        let watch = Stopwatch::start();
        best(&Function { space: five(), value: |point| at(point, 0) }, method, count, 0)?;
        writeln!(out, "{:<44} {:>8.2} {goal:>8}", format!("{count} of {method}"), watch.seconds())?;
    }
    Ok(())
}

fn row(
    out: &mut impl std::io::Write,
    function: &str,
    method: &str,
    by: &str,
    mut found: Vec<f64>,
    seconds: f64,
) -> Result<(), AnyError> {
    found.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * found.len().saturating_sub(1) as f64;
        let value = |at: f64| found.get(at as usize).copied().unwrap_or(f64::NAN);
        value(place.floor()) + place.fract() * (value(place.ceil()) - value(place.floor()))
    };
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(quantile);
    writeln!(
        out,
        "{function:<12} {method:<14} {by:<8} {lower:>10.5} {median:>10.5} {upper:>10.5} \
         {seconds:>12.2}"
    )?;
    Ok(())
}

/// Searches and returns the least value found.
fn best(function: &Function, method: &str, trials: u64, seed: u64) -> Result<f64, AnyError> {
    let Function { space, value } = function;
    let mut history: Vec<Observation> = Vec::new();
    let mut best = f64::INFINITY;
    for trial in 0..trials {
        let mut stream = stream(seed, &["bench", "search"], trial);
        let point = match method {
            "random" => random::point(space, &mut stream),
            "quasi_random" => quasi_random::point(space, seed, trial),
            "tpe" => tpe::suggest(space, &history, &tpe::Settings::default(), &mut stream),
            "gp" => gaussian_process::suggest(
                space,
                &history,
                &gaussian_process::Settings { seed, ..Default::default() },
                &mut stream,
            ),
            _ => return Err(format!("there is no method `{method}`").into()),
        };
        let found = value(&point);
        best = best.min(found);
        history.push(Observation { point, outcome: Outcome::Value(found) });
    }
    Ok(best)
}

/// Returns what Optuna finds, and the seconds of a search.
fn peer(
    python: &str,
    method: &str,
    function: &str,
    trials: u64,
    seeds: u64,
) -> Result<(Vec<f64>, f64), AnyError> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/search.py");
    let mut command = Command::new(python);
    command.args([script, "--sampler", method, "--function", function]);
    command.args(["--trials", &trials.to_string(), "--seeds", &seeds.to_string()]);
    let output = command.stderr(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!(
            "{method}, {function}: {}; run {script} by hand to see why",
            output.status
        )
        .into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let numbers = |key: &str| -> Vec<f64> {
        answer[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    Ok((numbers("best"), numbers("seconds").iter().sum::<f64>() / seeds as f64))
}

/// What is minimised; benches/peers/search.py has the same.
struct Function {
    space: Space,
    value: fn(&Point) -> f64,
}

fn at(point: &Point, axis: usize) -> f64 {
    point.get(axis).copied().flatten().unwrap_or(f64::NAN)
}

fn scaled(point: &Point, low: f64, high: f64) -> Vec<f64> {
    point.iter().flatten().map(|unit| low + (high - low) * unit).collect()
}

fn space(kinds: impl IntoIterator<Item = AxisKind>) -> Space {
    Space { axes: kinds.into_iter().map(|kind| Axis { kind, condition: None }).collect() }
}

fn box_of(axes: usize) -> Space {
    space(vec![AxisKind::Continuous; axes])
}

/// What a sweep of a training may look like.
fn five() -> Space {
    space([
        AxisKind::Continuous,
        AxisKind::Continuous,
        AxisKind::Continuous,
        AxisKind::Steps(20),
        AxisKind::Choice(vec![0.25; 4]),
    ])
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "branin" => Function { space: box_of(2), value: branin },
        "hartmann6" => Function { space: box_of(6), value: hartmann6 },
        "rosenbrock4" => Function { space: box_of(4), value: rosenbrock4 },
        "ackley5" => Function { space: box_of(5), value: ackley5 },
        "mixed" => {
            let numbers = [AxisKind::Continuous, AxisKind::Continuous];
            let kinds =
                [AxisKind::Choice(vec![0.25; 4]), AxisKind::Steps(8)].into_iter().chain(numbers);
            let mut space = space(kinds);
            let condition = Some(Condition { axis: 0, values: vec![3] });
            space.axes.push(Axis { kind: AxisKind::Continuous, condition });
            Function { space, value: mixed }
        }
        _ => return None,
    })
}

fn branin(point: &Point) -> f64 {
    let (x, y) = (15.0 * at(point, 0) - 5.0, 15.0 * at(point, 1));
    let valley = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    valley * valley + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

/// The wells' weights, how sharp they are along each axis, and where they are.
const WELLS: [(f64, [f64; 6], [f64; 6]); 4] = [
    (1.0, [10.0, 3.0, 17.0, 3.5, 1.7, 8.0], [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886]),
    (1.2, [0.05, 10.0, 17.0, 0.1, 8.0, 14.0], [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991]),
    (3.0, [3.0, 3.5, 1.7, 10.0, 17.0, 8.0], [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650]),
    (3.2, [17.0, 8.0, 0.05, 10.0, 0.1, 14.0], [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381]),
];

fn hartmann6(point: &Point) -> f64 {
    let well = |(weight, sharpness, centre): &(f64, [f64; 6], [f64; 6])| {
        let terms = (0..6).map(|axis| sharpness[axis] * (at(point, axis) - centre[axis]).powi(2));
        weight * (-terms.sum::<f64>()).exp()
    };
    -WELLS.iter().map(well).sum::<f64>()
}

fn rosenbrock4(point: &Point) -> f64 {
    let x = scaled(point, -2.0, 2.0);
    x.windows(2)
        .map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2))
        .sum()
}

/// The box is not symmetric, so that its middle is no good guess.
fn ackley5(point: &Point) -> f64 {
    let x = scaled(point, -16.0, 24.0);
    let distance = (x.iter().map(|value| value * value).sum::<f64>() / 5.0).sqrt();
    let waves = x.iter().map(|value| (2.0 * PI * value).cos()).sum::<f64>() / 5.0;
    20.0 + E - 20.0 * (-0.2 * distance).exp() - waves.exp()
}

/// One of four bowls by a choice; a step and two numbers place the point, and one more number
/// exists with one of the choices only.
fn mixed(point: &Point) -> f64 {
    let (kind, x, y) = (at(point, 0), at(point, 2), at(point, 3));
    let height = [0.3, 0.1, 0.2, 0.0].get(kind as usize).copied().unwrap_or(f64::NAN);
    let steps = 0.02 * (at(point, 1) - 5.0).powi(2);
    let bowl = 3.0 * (x - 0.2 - 0.2 * kind).powi(2) + 2.0 * (y - x).powi(2);
    let extra = point.get(4).copied().flatten().map_or(0.0, |extra| 2.0 * (extra - 0.7).powi(2));
    height + steps + bowl + extra
}
