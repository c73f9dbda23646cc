//! What can be known of an `adapt` stage before it runs.

use super::config::{Adapt, Objective};
use crate::model::Head;
use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::DataFact;
use crate::stages::train::check;
use crate::stages::train::freeze::Freeze;
use crate::stages::train::objective::adaptation::Simcse;
use crate::stages::train::plateau::Monitor;
use crate::stages::train::problems::Problems;
use crate::stages::train::schedule::Schedule;

impl Adapt {
    /// Returns every problem of the configuration.
    pub(super) fn problems(&self, data: &DataFact) -> Vec<CheckError> {
        let mut problems = Problems::default();
        self.model.check(&mut problems);
        let length = (self.epochs, self.stop_after, self.budget);
        check::length(length, self.span(), &mut problems);
        problems.at_least_one("batch_size", self.batch_size.unwrap_or(1) as u64);
        problems.at_least_one("accumulation", u64::from(self.accumulation));
        check::device(self.device, self.precision, &mut problems);
        check::max_length(self.max_length, &mut problems);
        problems.at_least_one("max_tokens_per_step", self.max_tokens_per_step.unwrap_or(1) as u64);
        if let Some(rate) = self.dropout {
            problems.share("dropout", f64::from(rate), false);
        }
        if let Some(clip) = self.gradient_clip {
            problems.positive("gradient_clip", f64::from(clip));
        }
        self.optimizer.check(&mut problems);
        match &self.schedule {
            Some(Schedule::ReduceOnPlateau(plateau))
                if matches!(plateau.monitor, Monitor::Dev(_)) =>
            {
                let message = "no dev text is read, so that its metrics cannot be followed";
                let hint = "follow `train_loss`, or leave `schedule` out";
                problems.add("schedule.reduce_on_plateau.monitor", message.to_owned(), hint);
            }
            Some(schedule) => schedule.check(data, &mut problems),
            None => {}
        }
        match &self.freeze {
            Some(Freeze::Encoder) => {
                problems.add("freeze", "it is the encoder that learns".to_owned(), "leave it out");
            }
            Some(freeze) => freeze.check(&mut problems),
            None => {}
        }
        match &self.objective {
            Objective::MaskedLm(masked) => {
                masked.check("objective.masked_lm", &mut problems);
                if self.model.head != Head::Auto {
                    let message = "`masked_lm` has no use for `model.head`: it makes no vectors";
                    problems.add("model.head", message.to_owned(), "leave it out");
                }
            }
            Objective::Simcse(simcse) => self.check_simcse(simcse, &mut problems),
            Objective::Tsdae(tsdae) => tsdae.check("objective.tsdae", &mut problems),
        }
        problems.0
    }

    fn check_simcse(&self, simcse: &Simcse, problems: &mut Problems) {
        simcse.check("objective.simcse", problems);
        if self.dropout == Some(0.0) {
            problems.add(
                "dropout",
                "`simcse` compares two vectors of a text, and without dropout they are the same"
                    .to_owned(),
                "leave it out, or set 0.1",
            );
        }
        if self.batch_size == Some(1) {
            problems.add(
                "batch_size",
                "expected at least 2, found 1".to_owned(),
                "a text is told from the others of its batch",
            );
        }
        if self.max_tokens_per_step.is_some() {
            let message = "`simcse` has no use for `max_tokens_per_step`: a batch is compared as \
                           a whole";
            problems.add("max_tokens_per_step", message.to_owned(), "leave it out");
        }
    }
}
