//! The method that folds of train favour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contract::{Cost, Learner, Refusal, Trained, Work};
use super::contrastive::Contrastive;
use super::probe::Probe;
use super::single::Single;
use crate::classifiers::{Score, score};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::DataFact;
use crate::stages::train::folds;
use crate::stages::train::problems::Problems;
use crate::stages::train::stand_in::Answer;

/// Trains every candidate without each fold of train in turn, and keeps the one that predicts the
/// most held-out texts rightly. Of equal ones the likelier wins, and of those the first.
///
/// No dev or test text is looked at. The candidates train with their own defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    /// The methods to choose from, the cheapest first. Default: a probe and contrastive tuning.
    #[serde(default)]
    pub candidates: Option<Vec<Single>>,
    /// The number of folds; fewer where a class has fewer texts. Default: 4.
    #[serde(default)]
    pub folds: Option<usize>,
}

const OF_CANDIDATES: &str = "the candidates train with their own defaults";

impl Auto {
    fn candidates(&self) -> Vec<Single> {
        let usual =
            || vec![Single::Probe(Probe::default()), Single::Contrastive(Contrastive::default())];
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

    fn refuses(&self) -> Vec<Refusal> {
        const REFUSED: [Refusal; 18] = [
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
        REFUSED.to_vec()
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
        problems.0.extend(CheckError::of_folds(&format!("{at}.folds"), self.folds));
        for (place, candidate) in self.candidates().iter().enumerate() {
            let learner = candidate.learner();
            let at = format!("{at}.candidates.{place}.{}", learner.name());
            learner.check(&at, data, problems);
        }
    }

    fn learn(&self, work: &Work<'_>) -> Result<Trained, StageError> {
        let Work { ctx, settings, data, .. } = *work;
        let folds = folds::assign(work, self.folds)?;
        let classes = data.train_classes();
        let candidates = self.candidates();
        let mut best: Option<(usize, Score)> = None;
        let (mut told, mut cost) = (Vec::new(), Cost::default());
        for (place, candidate) in candidates.iter().enumerate() {
            let learner = candidate.learner();
            let settings = settings.under(learner.defaults());
            let own = Work { settings: &settings, ..*work };
            let Answer { logits, cost: own, .. } = folds::held_out(learner, &own, &folds)?;
            cost += own;
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
        let count = crate::classifiers::folds::count(&folds);
        let learner = candidates[chosen].learner();
        let name = named(&candidates, chosen);
        let told = format!("{name} (out of {count} folds: {})", told.join("; "));
        ctx.note(&told);
        let settings = settings.under(learner.defaults());
        let trained = learner.learn(&Work { settings: &settings, ..*work })?;
        Ok(trained.after(told, cost))
    }
}

/// Returns what a candidate is called, with its place where others are of the same method.
fn named(candidates: &[Single], place: usize) -> String {
    let name = candidates[place].learner().name();
    let alike = candidates.iter().filter(|other| other.learner().name() == name).count();
    if alike > 1 { format!("{name} {}", place + 1) } else { name.to_owned() }
}
