//! One epoch: its steps, the dev metrics at its end, and what follows from them.

use super::losses::EpochLosses;
use super::training::Training;
use crate::base::report::Progress;
use crate::base::seed::stream;
use crate::engine::EngineError;
use crate::stages::contract::error::StageError;
use crate::stages::inference::predict;
use crate::stages::train::objective::DevMetrics;
use crate::stages::train::plateau::Monitor;
use crate::stages::train::schedule::Schedule;

impl Training<'_> {
    /// Trains an epoch, and lets plateau, best checkpoint and early stopping see its outcome.
    pub(super) fn epoch(&mut self) -> Result<(), StageError> {
        let epoch = self.state.epochs + 1;
        let losses = self.steps_of(epoch)?;
        let dev = self.measure()?;
        self.record(dev.as_ref());
        self.watch_plateau(&losses, dev.as_ref());
        if let Some(dev) = &dev {
            self.keep_best(epoch, dev)?;
            if let Some(settings) = &self.job.settings.early_stopping {
                self.state.stopped =
                    self.state.patience.ends(settings, epoch, dev.score(settings.metric));
            }
        }
        self.state.epochs = epoch;
        self.save_if_due()
    }

    /// Takes the steps of an epoch, the last of which may be cut short.
    fn steps_of(&mut self, epoch: u32) -> Result<EpochLosses, StageError> {
        let settings = self.job.settings;
        let mut random = stream(self.ctx.seed(), &["train", "batches"], u64::from(epoch));
        let lengths = &self.micro_batches.lengths;
        let batches = self.job.objective.batches(lengths, settings.batch_size, &mut random);
        let (mut losses, mut open) = (EpochLosses::default(), Vec::new());
        let left = (self.length.steps - self.state.steps) as usize;
        for batches in batches.chunks(settings.accumulation as usize).take(left) {
            let step = self.step(epoch, batches)?;
            let learning_rate = step.learning_rate;
            open.push(step);
            if open.len() >= self.trainer.lag() {
                losses.close(&mut open, self.trainer, &mut self.state)?;
            }
            self.show(epoch, learning_rate);
        }
        losses.close(&mut open, self.trainer, &mut self.state)?;
        Ok(losses)
    }

    fn show(&self, epoch: u32, learning_rate: f64) {
        // A device may not have told of any step yet.
        let last = self.state.curves.last();
        let loss = last.map_or_else(String::new, |point| format!("loss {:.4} · ", point.loss));
        let (epochs, dev) = (self.length.epochs, &self.dev_detail);
        self.ctx.progress(&Progress {
            activity: "training",
            done: self.state.steps,
            total: Some(self.length.steps),
            unit: "steps",
            detail: &format!("epoch {epoch}/{epochs} · {loss}lr {learning_rate:.1e}{dev}"),
        });
    }

    /// Predicts dev; `None` without one.
    fn measure(&mut self) -> Result<Option<DevMetrics>, StageError> {
        if self.job.dev_tokens.is_empty() {
            return Ok(None);
        }
        let (trainer, runtime) = (&mut *self.trainer, self.runtime);
        let logits = predict::logits(
            self.ctx,
            self.job.layout,
            (self.job.dev_tokens, self.job.combine.unwrap_or_default()),
            self.job.objective.outputs(),
            "dev",
            &mut |feeds| trainer.logits(runtime, feeds),
        )?;
        Ok(Some(self.job.objective.measure(&logits)))
    }

    /// Takes dev metrics into the epoch's last point of the curve.
    fn record(&mut self, dev: Option<&DevMetrics>) {
        if let (Some(point), Some(dev)) = (self.state.curves.last_mut(), dev) {
            if let Some(macro_f1) = dev.0.get("macro_f1") {
                self.dev_detail = format!(" · dev macro_f1 {macro_f1:.3}");
            }
            point.dev.clone_from(&dev.0);
        }
    }

    fn watch_plateau(&mut self, losses: &EpochLosses, dev: Option<&DevMetrics>) {
        if let Schedule::ReduceOnPlateau(settings) = &self.job.settings.schedule {
            // Without a dev split there is nothing to follow.
            if matches!(settings.monitor, Monitor::Dev(_)) && dev.is_none() {
                return;
            }
            let value = match settings.monitor {
                Monitor::TrainLoss => losses.mean(),
                Monitor::MinTrainLoss => losses.least_of_batch,
                Monitor::Dev(metric) => dev.map_or(f64::NAN, |dev| dev.value(metric)),
            };
            self.state.plateau.step(settings, value);
        }
    }

    /// Keeps the weights where they are the best so far.
    fn keep_best(&mut self, epoch: u32, dev: &DevMetrics) -> Result<(), EngineError> {
        if let Some(metric) = self.job.settings.best_checkpoint
            && self.state.best.improves(epoch, dev.score(metric), 0.0)
        {
            self.best_weights = super::checkpoint::best_weights(self.trainer.trained()?);
        }
        Ok(())
    }

    /// Writes a checkpoint where one is due: at the pause, and as often as the cadence allows.
    fn save_if_due(&mut self) -> Result<(), StageError> {
        let stops_here = self.state.epochs == self.length.stop_after;
        self.state.seconds = self.cadence.seconds();
        if self.state.steps < self.length.steps && self.cadence.is_due(stops_here) {
            let mut tensors = self.best_weights.clone();
            tensors.extend(self.averaging.saved());
            tensors.extend(self.trainer.state()?);
            self.cadence.save(self.ctx.scratch(), &self.state, &tensors)?;
        }
        Ok(())
    }
}
