//! What a sweep may ask of a pipeline: its parameters are keys of the file, and its metric comes
//! from a stage that reads dev.

use serde_json::Value;

use crate::pipeline::problem::suggest;
use crate::pipeline::{Draft, Override, Problem, Spec};
use crate::search::config::{Fault, Goal, Metric, Sweep};
use crate::stages::{Epochs, Figures, StageId, figure};

/// The keys that a parameter may not set, with the reasons.
const NO_PARAMETERS: [(&str, &str); 4] = [
    ("seed", "seeds are not mixed with parameters: every trial runs with the same `seeds`"),
    ("sweep", "a sweep does not sweep itself"),
    ("version", "it is the version of the file format"),
    ("name", "all trials share one name"),
];

/// Returns the problems of a sweep and of its requirements for the stages.
pub(super) fn check(spec: &Spec, sweep: &Sweep) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(faults) = sweep.check() {
        problems.extend(faults.into_iter().map(|fault| problem(spec, fault)));
    }
    for key in sweep.parameters.keys() {
        problems.extend(check_key(spec, key));
    }
    let evaluates = spec.stages.values().any(|config| config.output().has_scores());
    if !evaluates && sweep.metric.is_none() {
        let message = "nothing is evaluated, so no trial would have a result";
        let hint = "add an `evaluate` stage, or a `metric` of a `train` stage";
        problems.push(spec.problem("sweep", message).hint(hint));
    }
    match &sweep.metric {
        Some(metric) => problems.extend(check_metric(spec, sweep, metric)),
        None if sweep.needs_metric() => {
            problems.push(
                spec.problem("sweep", "the method needs a `metric` to optimise")
                    .maybe_hint(known_metrics(spec)),
            );
        }
        None => {}
    }
    problems
}

fn problem(spec: &Spec, fault: Fault) -> Problem {
    let names = std::iter::once("sweep").chain(fault.keys.iter().map(String::as_str));
    spec.problem_at(names, fault.message).maybe_hint(fault.hint)
}

fn check_key(spec: &Spec, key: &str) -> Option<Problem> {
    let at = |message: String| spec.problem_at(["sweep", "parameters", key].into_iter(), message);
    let (top, rest) = key.split_once('.').unwrap_or((key, ""));
    if let Some((_, why)) = NO_PARAMETERS.iter().find(|(name, _)| *name == top) {
        return Some(at(format!("`{key}` cannot be a parameter of a sweep")).hint(*why));
    }
    match top {
        "params" => {
            let under = format!("{rest}.");
            let is_known = spec.params.keys().any(|name| name == rest || name.starts_with(&under));
            let known: Vec<String> =
                spec.params.keys().map(|name| format!("params.{name}")).collect();
            (!is_known).then(|| {
                at(format!("the file has no `{key}`")).suggest(
                    key,
                    "its parameters are",
                    known.iter().map(String::as_str),
                )
            })
        }
        "stages" => {
            let id = rest.split('.').next().unwrap_or_default();
            let known = || spec.stages.keys().map(|id| id.0.as_str());
            (!known().any(|stage| stage == id)).then(|| {
                at(format!("there is no stage `{id}`")).suggest(
                    id,
                    "the stages are",
                    known().collect::<Vec<_>>(),
                )
            })
        }
        _ => {
            let meant = spec.params.contains_key(key).then(|| format!("write `params.{key}`"));
            let hint = meant.unwrap_or_else(|| {
                "a parameter is a key of the file, such as `params.learning_rate` or \
                 `stages.tuned.train.epochs`"
                    .to_owned()
            });
            Some(at(format!("the file has no `{key}`")).hint(hint))
        }
    }
}

/// Refuses a parameter that a later one sets as a part of its own values.
fn covered<'a>(
    spec: &Spec,
    key: &str,
    mut later: impl Iterator<Item = &'a String>,
) -> Option<Problem> {
    let covers = |later: &&String| {
        key.strip_prefix(later.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    let later = later.find(covers)?;
    let message =
        format!("`{later}` comes after `{key}` and sets it too, so `{key}` has no effect");
    let problem = spec.problem_at(["sweep", "parameters", key].into_iter(), message);
    Some(problem.hint(format!("move `{key}` below `{later}`, or leave one of them out")))
}

/// Returns the parameters of a sweep that later ones set too.
pub(super) fn check_order(spec: &Spec, sweep: &Sweep) -> Vec<Problem> {
    let keys = || sweep.parameters.keys();
    keys()
        .enumerate()
        .filter_map(|(place, key)| covered(spec, key, keys().skip(place + 1)))
        .collect()
}

/// Returns the parameters of a sweep, and the values of the command line beside it, that reach
/// nothing. A trial is not asked: one of its values may replace a reference to another. Neither is
/// a run, which does not sweep.
pub(super) fn check_reach(spec: &Spec, sweep: &Sweep) -> Vec<Problem> {
    let mut problems = Vec::new();
    // What every trial sets may stand in the place of the only reference.
    let always = sweep.parameters.iter().filter(|(_, swept)| swept.when.is_none());
    let always: Vec<Override> = always
        .filter(|(key, _)| !key.starts_with("params."))
        .map(|(key, _)| Override::set(key, &Value::Null))
        .collect();
    let trial = Draft::again(spec, &always).ok();
    let of_trial = trial.as_ref().map_or(spec, Draft::spec);
    for key in sweep.parameters.keys() {
        let unused = key.strip_prefix("params.").filter(|name| !of_trial.refers_to(name));
        problems.extend(unused.map(|name| {
            let nothing = match spec.refers_to(name) {
                true => "nothing beside what the sweep sets",
                false => "nothing",
            };
            let message = format!("{nothing} refers to `{key}`, so its trials would be the same");
            let hint = format!("refer to it as `${{{key}}}`, or sweep the key that is meant");
            let names = ["sweep", "parameters", key.as_str()];
            spec.problem_at(names.into_iter(), message).hint(hint)
        }));
    }
    let is_below = |key: &str, above: &str| {
        key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let set = spec.overrides.iter().enumerate().filter(|(_, one)| !one.is_parameter);
    problems.extend(set.filter_map(|(place, one)| {
        let mut always = sweep.parameters.iter().filter(|(_, swept)| swept.when.is_none());
        let (swept, _) = always.find(|(swept, _)| is_below(&one.key, swept))?;
        let message = format!("every trial of the sweep sets `{swept}`, so this has no effect");
        let hint = format!("give the values of the sweep: `'{swept}=VALUE,VALUE'`");
        Some(spec.problem_of_override(place, message).hint(hint))
    }));
    problems
}

fn check_metric(spec: &Spec, sweep: &Sweep, metric: &Metric) -> Vec<Problem> {
    let at = |message: String| spec.problem("sweep.metric.name", message);
    let name = &metric.name;
    let Some((stage, figure)) = metric.parts() else {
        let message = format!("`{name}` does not name its stage");
        return vec![at(message).maybe_hint(known_metrics(spec))];
    };
    let id = StageId(stage.to_owned());
    let Some(config) = spec.stages.get(&id) else {
        let message = format!("there is no stage `{stage}`");
        return vec![at(message).maybe_hint(known_metrics(spec))];
    };
    let figures = config.stage().figures();
    if !figures.as_ref().is_some_and(|figures| figures.has(figure)) {
        let names = figures.map_or_else(Vec::new, |figures| figures.names);
        let problem = at(format!("`{stage}` has no figure `{figure}`"));
        return vec![match names.is_empty() {
            true => problem.maybe_hint(known_metrics(spec)),
            false => problem.suggest(figure, "its figures are", names),
        }];
    }
    if figures.is_some_and(|figures| figures.split.is_test()) {
        let hint = "scores that drive a choice are no longer an unbiased estimate; use an \
                    evaluation of dev: `dev_score: { evaluate: { model: …, data: …, split: dev } \
                    }`";
        return vec![
            at(format!("`{name}` reads test, which must not drive any choice")).hint(hint),
        ];
    }
    let usual = if figure::less_is_better(figure) { Goal::Minimize } else { Goal::Maximize };
    let mut problems = Vec::new();
    if metric.goal.is_some_and(|goal| goal != usual) {
        let better = if usual == Goal::Minimize { "less" } else { "more" };
        let message = format!("{better} of `{name}` is better");
        let hint = format!("leave out `goal`, which is `{}` here", usual.name());
        problems.push(spec.problem("sweep.metric.goal", message).hint(hint));
    }
    if let Some(min_epochs) = sweep.min_epochs() {
        problems.extend(check_epochs(spec, &id, min_epochs));
    }
    problems
}

/// Checks the trainings that a stage depends on, for a method that ends some early.
fn check_epochs(spec: &Spec, stage: &StageId, min_epochs: u32) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut behind = vec![stage];
    let mut at = 0;
    while let Some(id) = behind.get(at).copied() {
        at += 1;
        let Some(config) = spec.stages.get(id) else { continue };
        for port in config.stage().inputs() {
            if !behind.contains(&port.stage) {
                behind.push(port.stage);
            }
        }
        let Some(epochs) = config.stage().epochs() else { continue };
        let place = format!("stages.{id}.{}", config.kind_name());
        match epochs {
            Epochs::Budget => problems.push(
                spec.problem(
                    &format!("{place}.budget"),
                    "a method that ends trainings early counts epochs",
                )
                .hint("set `epochs` instead of `budget`"),
            ),
            Epochs::Fixed(epochs) if epochs <= min_epochs => problems.push(
                spec.problem(
                    &format!("{place}.epochs"),
                    format!(
                        "a training of {epochs} epochs cannot end early if it is first compared \
                         after {min_epochs}"
                    ),
                )
                .hint("raise `epochs`, or lower `min_epochs` of the sweep"),
            ),
            Epochs::Fixed(_) => {}
        }
    }
    problems
}

/// Returns the hint that lists possible metrics of a sweep.
fn known_metrics(spec: &Spec) -> Option<String> {
    const SHOWN: usize = 8;
    let of_stage = |id: &StageId, figures: Figures| -> Vec<String> {
        // The first few represent all metrics of an evaluation.
        figures.names.into_iter().take(3).map(|name| format!("{id}.{name}")).collect()
    };
    let names: Vec<String> = spec
        .stages
        .iter()
        .filter_map(|(id, config)| Some((id, config.stage().figures()?)))
        .filter(|(_, figures)| !figures.split.is_test())
        .flat_map(|(id, figures)| of_stage(id, figures))
        .take(SHOWN)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Some(match names.is_empty() {
        true => "no stage reads dev yet: `dev_score: { evaluate: { model: …, data: …, split: dev \
                 } }`"
            .to_owned(),
        false => format!("possible metrics include {}", suggest::list(&names)),
    })
}
