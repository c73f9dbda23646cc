//! Checks whether a device trains correctly, for `pipe runtime check`.

#[cfg(test)]
mod placement_tests;
mod profile;
mod speed;
mod subject;
mod training;

use serde::Serialize;

use crate::base::report::{Progress, Report};
use crate::engine::{Device, EngineError, Place, Precision, Runtime, samples};

pub use speed::Speed;

/// The findings, in the order of the checks.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    pub device: String,
    /// A description of the GPU.
    pub gpu: Option<String>,
    /// A description of the library.
    pub library: String,
    pub checks: Vec<Check>,
    pub speeds: Vec<Speed>,
}

/// One check and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    pub name: String,
    pub outcome: Outcome,
    /// The figures, or a description of the error.
    pub detail: String,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed,
    /// This device does not support it.
    Skipped,
}

impl Findings {
    /// Returns whether no check failed.
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != Outcome::Failed)
    }
}

/// The number of steps that [`run`] reports.
const STEPS: u64 = 5;

/// Runs all checks on a device.
pub fn run(runtime: &Runtime, device: Device, report: &dyn Report) -> Findings {
    let place = Place::of(device);
    let mut findings = Findings {
        device: device.to_string(),
        gpu: match (device, &runtime.driver) {
            (Device::Cuda(number), Some(driver)) => {
                driver.gpu(number, false).ok().map(|gpu| gpu.describe())
            }
            _ => None,
        },
        library: runtime.identity.describe(),
        checks: Vec::new(),
        speeds: Vec::new(),
    };
    let mut done = 0;
    let mut tell = |detail: &str| {
        report.progress(&Progress {
            activity: "checking",
            done,
            total: Some(STEPS),
            unit: "steps",
            detail,
        });
        done += 1;
    };
    tell("operators and their gradients");
    let opens = check("a session opens", training::opens(runtime, place));
    let is_of_no_use = opens.outcome == Outcome::Failed;
    findings.checks.push(opens);
    if is_of_no_use {
        return findings;
    }
    findings.checks.push(operators(runtime, place));
    tell("fifty steps in every precision");
    for precision in Precision::ALL {
        findings.checks.push(check(
            &format!("fifty steps in {}", precision.name()),
            training::fifty_steps(runtime, place, precision),
        ));
    }
    tell("update in place, dropout");
    findings.checks.push(check("update in place", training::update_in_place(runtime, place)));
    findings.checks.push(check("dropout", training::dropout(runtime, place)));
    tell("copies between host and device");
    for precision in Precision::ALL {
        findings.checks.push(check(
            &format!("no copies between host and device in {}", precision.name()),
            profile::copies(runtime, place, precision),
        ));
    }
    tell("speed");
    for found in speed::measure(runtime, device) {
        match found {
            Ok(speed) => findings.speeds.push(speed),
            Err((name, error)) => findings.checks.push(check(&name, Err(error))),
        }
    }
    findings
}

/// The result of a check: the figures, or a description of the error.
enum Verdict {
    Sound(String),
    Wrong(String),
    Impossible(String),
}

fn check(name: &str, verdict: Result<Verdict, EngineError>) -> Check {
    let (outcome, detail) = match verdict {
        Ok(Verdict::Sound(detail)) => (Outcome::Passed, detail),
        Ok(Verdict::Wrong(detail)) => (Outcome::Failed, detail),
        Ok(Verdict::Impossible(detail)) => (Outcome::Skipped, detail),
        Err(error) => (Outcome::Failed, error.to_string()),
    };
    // Messages of libraries may have several lines.
    let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    Check { name: name.to_owned(), outcome, detail }
}

/// The number of wrong samples that are shown.
const SHOWN: usize = 3;

fn operators(runtime: &Runtime, place: Place) -> Check {
    let checked = samples::check(runtime, place);
    let wrong: Vec<String> = checked
        .iter()
        .filter_map(|checked| Some(format!("{}: {}", checked.sample, checked.problem.as_ref()?)))
        .collect();
    let verdict = match wrong.is_empty() {
        true => Verdict::Sound(format!(
            "{} samples agree with double precision, and their gradients with finite differences",
            checked.len()
        )),
        false => {
            let shown = wrong.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
            Verdict::Wrong(format!(
                "{} of {} samples are wrong, for example {shown}",
                wrong.len(),
                checked.len()
            ))
        }
    };
    check("operators", Ok(verdict))
}
