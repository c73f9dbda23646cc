//! The method that folds of train favour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Learner, Trained, Work};
use super::contrastive::Contrastive;
use super::fine_tune::FineTune;
use super::lp_ft::LpFt;
use super::probe::Probe;
use crate::base::clock::Stopwatch;
use crate::classifiers::{Score, score};
use crate::data::Example;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::DataFact;
use crate::stages::train::folds::{self, HeldOut};
use crate::stages::train::problems::Problems;

/// Trains every candidate without each fold of train in turn, and keeps the one that predicts the
/// most held-out texts rightly. Of equal ones the likelier wins, and of those the first.
///
/// No dev or test text is looked at. The candidates train with their own defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    /// The methods to choose from, the cheapest first. Default: a probe and contrastive tuning.
    #[serde(default)]
    pub candidates: Option<Vec<Candidate>>,
    /// The number of folds; fewer where a class has fewer texts. Default: 4.
    #[serde(default)]
    pub folds: Option<usize>,
}

/// A method to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Candidate {
    /// A classifier over the vectors of the encoder as it is.
    Probe(Probe),
    /// Contrastive tuning, then a classifier.
    Contrastive(Contrastive),
    /// The encoder and its head together.
    FineTune(FineTune),
    /// The same from the head of a probe.
    LpFt(LpFt),
}

const OF_CANDIDATES: &str = "the candidates train with their own defaults";

impl Candidate {
    fn learner(&self) -> &dyn Learner {
        match self {
            Candidate::Probe(method) => method,
            Candidate::Contrastive(method) => method,
            Candidate::FineTune(method) => method,
            Candidate::LpFt(method) => method,
        }
    }
}

impl Auto {
    fn candidates(&self) -> Vec<Candidate> {
        let usual = || {
            vec![Candidate::Probe(Probe::default()), Candidate::Contrastive(Contrastive::default())]
        };
        self.candidates.clone().unwrap_or_else(usual)
    }
}

impl Learner for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn config(&self) -> Value {
        json!(self)
    }

    fn refuses(&self) -> &'static [(&'static str, &'static str)] {
        const REFUSED: [(&str, &str); 18] = [
            ("epochs", OF_CANDIDATES),
            ("stop_after", OF_CANDIDATES),
            ("budget", OF_CANDIDATES),
            ("batch_size", OF_CANDIDATES),
            ("optimizer", OF_CANDIDATES),
            ("schedule", OF_CANDIDATES),
            ("loss.label_smoothing", OF_CANDIDATES),
            ("max_tokens_per_step", OF_CANDIDATES),
            ("loss.r_drop", OF_CANDIDATES),
            ("loss.mixup", OF_CANDIDATES),
            ("reinitialise", OF_CANDIDATES),
            ("regularise", OF_CANDIDATES),
            ("freeze", OF_CANDIDATES),
            ("adapters", OF_CANDIDATES),
            ("average", OF_CANDIDATES),
            ("early_stopping", "folds of train take the place of dev"),
            ("best_checkpoint", "folds of train take the place of dev"),
            ("artifacts", "artifacts are trained in one way"),
        ];
        &REFUSED
    }

    fn reads_unlabelled(&self) -> bool {
        self.candidates().iter().any(|candidate| candidate.learner().reads_unlabelled())
    }

    fn check(&self, at: &str, data: &DataFact, problems: &mut Problems) {
        if data.augmented {
            problems.add(
                at,
                "the train texts hold generated ones, and what has made them has seen every fold"
                    .to_owned(),
                "choose on the texts before augmentation, then name the method",
            );
        }
        if self.candidates.as_ref().is_some_and(|candidates| candidates.len() < 2) {
            problems.add(
                &format!("{at}.candidates"),
                "there is nothing to choose from".to_owned(),
                "name two methods or more",
            );
        }
        if self.folds.is_some_and(|folds| folds < 2) {
            problems.add(
                &format!("{at}.folds"),
                "expected at least 2 folds".to_owned(),
                "each text is predicted by a model that has not seen it",
            );
        }
        for (place, candidate) in self.candidates().iter().enumerate() {
            let learner = candidate.learner();
            let at = format!("{at}.candidates.{place}.{}", learner.name());
            learner.check(&at, data, problems);
        }
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, data, .. } = *work;
        let stopwatch = Stopwatch::start();
        let folds = folds::assign(work, self.folds)?;
        let classes: Vec<usize> = data.splits.train.iter().map(Example::class).collect();
        let candidates = self.candidates();
        let mut best: Option<(usize, Score)> = None;
        let (mut told, mut encodings) = (Vec::new(), 0);
        for (place, candidate) in candidates.iter().enumerate() {
            let learner = candidate.learner();
            let settings = settings.under(learner.defaults());
            let own = Work { settings: &settings, ..*work };
            let HeldOut { logits, encodings: read } = folds::held_out(learner, &own, &folds)?;
            encodings += read;
            let found = score(logits.mapv(f64::from).view(), &classes, None);
            let name = named(&candidates, place);
            told.push(format!("{name} {:.3}, nll {:.3}", found.accuracy, found.nll));
            let beats = |(_, other): &(usize, Score)| {
                (found.accuracy, -found.nll) > (other.accuracy, -other.nll)
            };
            if best.as_ref().is_none_or(beats) {
                best = Some((place, found));
            }
        }
        let chosen = best.map_or(0, |(place, _)| place);
        let count = folds.iter().max().map_or(0, |most| most + 1);
        let learner = candidates[chosen].learner();
        let name = named(&candidates, chosen);
        let told = format!("{name} (out of {count} folds: {})", told.join("; "));
        ctx.note(&told);
        let settings = settings.under(learner.defaults());
        let mut trained = learner.learn(&Work { settings: &settings, ..*work })?;
        let summary = &mut trained.summary;
        summary.chosen = match summary.chosen.is_empty() {
            true => told,
            false => format!("{told}; {}", summary.chosen),
        };
        summary.encodings = summary.encodings.map(|own| own + encodings);
        summary.seconds = stopwatch.seconds();
        Ok(trained)
    }
}

/// Returns what a candidate is called, with its place where others are of the same method.
fn named(candidates: &[Candidate], place: usize) -> String {
    let name = candidates[place].learner().name();
    let alike = candidates.iter().filter(|other| other.learner().name() == name).count();
    if alike > 1 { format!("{name} {}", place + 1) } else { name.to_owned() }
}
