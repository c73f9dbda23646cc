//! The work of `ensemble`.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{Combine, Ensemble, Origin};
use super::error::EnsembleError;
use super::members::{self, Member};
use super::soup;
use crate::base::seed::redrawn;
use crate::data::{Curves, TaskKind};
use crate::model::sentences::Preparation;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Kind, Network, Output, TrainedModel, TrainingSummary};
use crate::stages::contract::stage::{
    Ctx, DataFact, Fact, Find, Port, RuntimeNeeds, Stage, StageId,
};
use crate::stages::train::Train;

/// The keys of listed models, and of draws of one.
const MODELS: [&str; MOST] = [
    "models.0",
    "models.1",
    "models.2",
    "models.3",
    "models.4",
    "models.5",
    "models.6",
    "models.7",
    "models.8",
    "models.9",
    "models.10",
    "models.11",
    "models.12",
    "models.13",
    "models.14",
    "models.15",
];
const DRAWS: [&str; MOST] = [
    "of", "of.1", "of.2", "of.3", "of.4", "of.5", "of.6", "of.7", "of.8", "of.9", "of.10", "of.11",
    "of.12", "of.13", "of.14", "of.15",
];
const DATA: &str = "combine.greedy_soup.data";

/// The fewest and the most models.
const LEAST: usize = 2;
const MOST: usize = 16;

impl Stage for Ensemble {
    fn code_version(&self) -> u32 {
        1
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let expects = Kind::MODEL;
        let mut ports: Vec<Port<'_>> = match &self.of {
            // A number that is out of range is reported by the check.
            Some(stage) => (0..)
                .zip(DRAWS)
                .take(self.count().max(1))
                .map(|(draw, field)| Port { field, stage, expects, draw })
                .collect(),
            None => Vec::new(),
        };
        let listed = self.models.iter().zip(MODELS);
        ports.extend(listed.map(|(stage, field)| Port { field, stage, expects, draw: 0 }));
        if let Combine::GreedySoup(soup) = &self.combine {
            ports.push(Port { field: DATA, stage: &soup.data, expects: Kind::DATA, draw: 0 });
        }
        ports
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        let data = inputs.iter().find_map(|fact| match fact {
            Fact::Data(data) => Some(data),
            Fact::Of(_) => None,
        });
        let mut problems = self.check_members();
        problems.extend(self.check_weights());
        problems.extend(self.check_soup(data));
        if problems.is_empty() { Ok(Fact::Of(Kind::MODEL)) } else { Err(problems) }
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn complete(&mut self, find: &Find<'_>) {
        if self.of.is_some() {
            self.seeds = Some(self.count() as u32);
        }
        let model = |stage: &StageId| {
            let train = find(stage).and_then(<dyn Any>::downcast_ref::<Train>)?;
            Some(Origin {
                model: train.model.clone(),
                max_length: train.max_length,
                windows: train.windows,
            })
        };
        self.origins = self.stages().into_iter().map(model).collect();
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        // Only a greedy soup predicts.
        matches!(self.combine, Combine::GreedySoup(_)).then(RuntimeNeeds::default)
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let members = self.members(ctx.seed(), inputs);
        let labels = members::labels(&members)?;
        let summary = members::summary(&members);
        let soup = match &self.combine {
            Combine::LogProbabilities => None,
            Combine::UniformSoup => Some(soup::uniform(&members)?),
            Combine::GreedySoup(settings) => {
                let data = inputs.data(DATA);
                if data.labels() != labels {
                    let shown = |labels: &[String]| format!("`{}`", labels.join("`, `"));
                    return Err(Box::new(EnsembleError::OtherClasses {
                        first: members[0].name.clone(),
                        expected: shown(&labels),
                        other: format!("`{}`", settings.data),
                        found: shown(data.labels()),
                    }));
                }
                Some(soup::greedy(ctx, settings, &members, data)?)
            }
        };
        let mut seen = members::seen(&members);
        if let Combine::GreedySoup(_) = &self.combine {
            members::add_dev(&mut seen, inputs.data(DATA));
        }
        let first = members.first().map(|member| Arc::clone(&member.model));
        let (curves, adapter) = (Curves::default(), BTreeMap::new());
        Ok(Arc::new(match (soup, first) {
            (Some(soup), Some(first)) => TrainedModel {
                network: soup.network,
                labels,
                max_length: first.max_length,
                preparation: first.preparation.clone(),
                frozen: soup::frozen(&members),
                summary: TrainingSummary {
                    method: "soup".to_owned(),
                    chosen: soup.told,
                    trainable_parameters: first.summary.trainable_parameters,
                    parameters: first.summary.parameters,
                    ..summary
                },
                curves,
                seen,
                adapter,
            },
            _ => TrainedModel {
                labels,
                max_length: members.iter().map(|it| it.model.max_length).max().unwrap_or_default(),
                preparation: Preparation::default(),
                frozen: None,
                summary: TrainingSummary {
                    method: "ensemble".to_owned(),
                    chosen: format!("mean log-probabilities of {} models", members.len()),
                    ..summary
                },
                curves,
                seen,
                adapter,
                network: Network::Ensemble(
                    members.into_iter().map(|member| member.model).zip(self.shares()).collect(),
                ),
            },
        }))
    }
}

impl Ensemble {
    fn members(&self, seed: u64, inputs: &Inputs) -> Vec<Member> {
        let name = |port: &Port<'_>| match self.of {
            Some(_) => format!("`{}` (seed {})", port.stage, redrawn(seed, port.draw)),
            None => format!("`{}`", port.stage),
        };
        let ports = self.inputs();
        let models = ports.iter().filter(|port| port.expects == Kind::MODEL);
        models
            .map(|port| Member { name: name(port), model: inputs.shared_model(port.field) })
            .collect()
    }

    fn check_members(&self) -> Vec<CheckError> {
        let mut problems = Vec::new();
        let mut add = |field: &str, message: String, hint: &str| {
            problems.push(CheckError::new(field, message).hint(hint));
        };
        let count = self.count();
        let is_known = (LEAST..=MOST).contains(&count);
        match &self.of {
            Some(_) if !self.models.is_empty() => {
                let message = "`of` and `models` both say which models are combined".to_owned();
                add("models", message, "leave one of them out");
            }
            Some(_) if !is_known => {
                let message = format!("expected from {LEAST} to {MOST} seeds, found {count}");
                add("seeds", message, "the first is the run's own");
            }
            Some(stage) if self.origins.first().is_none_or(Option::is_none) => {
                let message =
                    format!("`{stage}` is no `train` stage that other seeds could change");
                add("of", message, "name a `train` stage, or list `models`");
            }
            Some(_) => {}
            None if !is_known => {
                let message = format!("expected from {LEAST} to {MOST} models, found {count}");
                add("models", message, "list stages, or name one `train` stage with `of`");
            }
            None => {}
        }
        if self.of.is_none() && self.seeds.is_some() {
            let message = "`seeds` belongs to `of`, and there is none".to_owned();
            add("seeds", message, "leave it out; `pipe run --seeds` sets the seeds of a run");
        }
        for (place, model) in self.models.iter().enumerate() {
            if self.models[..place].contains(model) {
                let message = format!("`{model}` is listed twice");
                add("models", message, "list each model once; `weights` lets one count more");
            }
        }
        problems
    }

    fn check_weights(&self) -> Vec<CheckError> {
        let mut problems = Vec::new();
        let Some(weights) = &self.weights else { return problems };
        let mut add = |field: String, message: String, hint: &str| {
            problems.push(CheckError::new(field, message).hint(hint));
        };
        let at = || "weights".to_owned();
        if self.of.is_some() {
            let message = "trainings that differ by chance alone count the same".to_owned();
            add(at(), message, "leave `weights` out");
        } else if self.combine.is_soup() {
            let message = "a soup is the mean of its models".to_owned();
            add(at(), message, "leave `weights` out, or combine `log_probabilities`");
        } else if weights.len() != self.models.len() {
            let (expected, found) = (self.models.len(), weights.len());
            add(at(), format!("expected {expected} weights, found {found}"), "give one for each");
        }
        for (place, weight) in weights.iter().enumerate() {
            if !(weight.is_finite() && *weight > 0.0) {
                let message = format!("expected a number above 0, found {weight}");
                add(format!("weights.{place}"), message, "leave out a model that does not count");
            }
        }
        problems
    }

    fn check_soup(&self, data: Option<&DataFact>) -> Vec<CheckError> {
        let mut problems = Vec::new();
        if !self.combine.is_soup() {
            return problems;
        }
        let origins = self.stages().into_iter().zip(&self.origins);
        let mut first: Option<(&StageId, &_)> = None;
        for (stage, origin) in origins {
            let field = if self.of.is_some() { "of" } else { "models" };
            match (origin, first) {
                (None, _) => {
                    let message = format!("`{stage}` is no `train` stage");
                    let hint = "weights have a mean where models are trained from one encoder";
                    problems.push(CheckError::new(field, message).hint(hint));
                }
                (Some(origin), None) => first = Some((stage, origin)),
                (Some(origin), Some((other, expected))) => {
                    let Some(setting) = origin.difference(expected) else { continue };
                    let message = format!(
                        "`{stage}` begins with another `{setting}` than `{other}`, so that their \
                         weights have no mean"
                    );
                    let hint = "train from one encoder with one head and texts that are read in \
                                one way, or combine `log_probabilities`";
                    problems.push(CheckError::new(field, message).hint(hint));
                }
            }
        }
        if let (Combine::GreedySoup(soup), Some(data)) = (&self.combine, data) {
            if !data.has_dev {
                let message =
                    format!("`{}` has no dev split, which a greedy soup chooses by", soup.data);
                let hint = "set `split.dev` or `files.dev` in the `load` stage, or combine \
                            `uniform_soup`";
                problems.push(CheckError::new(DATA, message).hint(hint));
            }
            problems.extend(data.misfit(DATA, &[TaskKind::Classes]));
        }
        problems
    }
}
