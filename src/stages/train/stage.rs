//! The work of `train`.

use std::path::Path;
use std::sync::Arc;

use super::config::{Backend, Train};
use super::encoder::{self, Job};
use super::error::TrainError;
use super::freeze::Freeze;
use super::objective::{Classification, Form, Objective};
use super::tokens::{Tokens, Trained};
use super::{artifacts, check, trained_model};
use crate::base::report::Report;
use crate::data::{AugmentationSummary, DataSet, Seen, Split, TaskKind};
use crate::engine::{Device, EngineError, Precision, RuntimeIdentity};
use crate::model::initial_weights::InitialWeights;
use crate::model::pretrained::SEEN_TEXTS;
use crate::model::source::resolve::resolve as place;
use crate::model::{Head, HeadForm, Pretrained};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Kind, Network, Output, TrainedModel, TrainingSummary};
use crate::stages::contract::stage::{Ctx, Epochs, External, Fact, Port, RuntimeNeeds, Stage};
use crate::stages::figure::Figures;
use crate::stages::inference::texts::{Texts, shown};

impl Stage for Train {
    fn code_version(&self) -> u32 {
        8
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let mut inputs = vec![Port { field: "data", stage: &self.data, expects: Kind::DATA }];
        inputs.extend(Classification::inputs(&self.loss));
        inputs
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        // The plan itself reports an input of the wrong kind.
        let Some(Fact::Data(data)) = inputs.first() else { return Ok(Fact::Of(Kind::MODEL)) };
        let mut problems = check::check(self, data);
        problems.extend(data.misfit("data", &[TaskKind::Classes]));
        if problems.is_empty() { Ok(Fact::Of(Kind::MODEL)) } else { Err(problems) }
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let mut externals = vec![External::model(&self.model.pretrained, folder, fetch)?];
        if let Some(name) = &self.artifacts {
            externals.push(artifacts::external(name, folder)?);
        }
        Ok(externals)
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        Some(RuntimeNeeds {
            device: self.device,
            pauses: self.stop_after.map(|_| "stop_after"),
            check: Some(Box::new(|runtime, device| self.check_runtime(runtime, device))),
        })
    }

    fn figures(&self) -> Option<Figures> {
        Some(trained_model::figures())
    }

    fn epochs(&self) -> Option<Epochs> {
        Some(self.whole_epochs().map_or(Epochs::Budget, Epochs::Fixed))
    }

    fn pause_at(&mut self, epochs: u32) {
        self.stop_after = Some(epochs);
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let data = inputs.data("data");
        let folder = place(&self.model.pretrained, ctx.folder(), ctx)?;
        let mut seen = Seen::read(&folder.join(SEEN_TEXTS))?;
        if let Some(artifacts) = &self.artifacts {
            seen.add(&Seen::read(&ctx.folder().join(artifacts).join(SEEN_TEXTS))?);
        }
        for (who, seen) in [
            (format!("`{}`", self.model.pretrained), &seen),
            (format!("a model that made texts of `{}`", self.data), &data.seen),
        ] {
            self.duplicates.check(ctx, (&who, seen), (&self.data, data), Split::Dev)?;
        }
        seen.add(&data.seen_by_training());
        let trained = match &self.artifacts {
            Some(name) => {
                let objective = Classification::new(&self.loss, data, Form::ClassNumbers)?;
                artifacts::run(ctx, self, name, &folder, data, &objective)?
            }
            None => {
                let objective = Classification::new(&self.loss, data, Form::Targets)?;
                self.run_encoder(ctx, &folder, data, &objective)?
            }
        };
        let Trained { network, fitted, backend, .. } = trained;
        if fitted.micro_batches > 1 {
            ctx.note(&format!(
                "batches of {} were computed in up to {} parts; the steps are the same as with \
                 whole batches, except for the dropout masks",
                self.batch_size, fitted.micro_batches
            ));
        }
        if !fitted.skipped.is_empty() {
            ctx.note(&format!(
                "{} of {} steps were skipped because gradients overflowed; the loss scale was \
                 halved after each",
                fitted.skipped.len(),
                fitted.steps
            ));
        }
        let summary = TrainingSummary {
            steps: fitted.steps,
            seconds: fitted.seconds,
            backend: backend.name().to_owned(),
            backend_reason: backend.reason,
            initial_weights: trained.initial_weights,
            device: ctx.device().to_string(),
            trainable_parameters: trained.trainable_parameters,
            parameters: trained.parameters,
            truncated_share: trained.truncated_share,
            best_epoch: fitted.best_epoch,
            parts: (fitted.micro_batches > 1).then_some(fitted.micro_batches as u64),
            skipped_steps: self.precision.scales_loss().then_some(fitted.skipped.len() as u64),
            augmentation: (!data.augmentation.rows.is_empty())
                .then(|| AugmentationSummary::of(&data.augmentation.rows)),
        };
        Ok(Arc::new(TrainedModel {
            network,
            labels: data.labels().to_vec(),
            max_length: trained.longest,
            preparation: trained.preparation,
            summary,
            curves: fitted.curves,
            seen,
            adapter: trained.adapter,
        }))
    }
}

impl Train {
    fn check_runtime(&self, runtime: &RuntimeIdentity, device: Device) -> Result<(), StageError> {
        if self.precision == Precision::Tf32 && device == Device::Cpu {
            return Err(Box::new(TrainError::Tf32));
        }
        let wanted = self.backend == Backend::TrainingApi || self.artifacts.is_some();
        if wanted && !runtime.has_training_api {
            return Err(Box::new(EngineError::NoTrainingApi { library: runtime.describe() }));
        }
        Ok(())
    }

    fn run_encoder(
        &self,
        ctx: &dyn Ctx,
        folder: &Path,
        data: &DataSet,
        objective: &dyn Objective,
    ) -> Result<Trained, StageError> {
        let (mut pretrained, InitialWeights { weights, form, origin }) =
            self.pretrained(folder, ctx.seed(), data.labels())?;
        let reference = &self.model.pretrained;
        let of_modules = match &form {
            HeadForm::Linear(embedder) if self.model.head == Head::Auto => Some(embedder),
            _ => None,
        };
        let prompt = pretrained.prompt(&self.model.prompt, of_modules.is_some(), folder)?;
        pretrained.sentences.set_prompt(prompt.as_deref());
        let mut initial_weights = format!("`{}`: {origin}", ctx.secrets().hide(reference));
        if let Some(embedder) = of_modules {
            initial_weights.push_str(&format!("; head over {embedder}"));
        }
        if let Some(prompt) = &prompt {
            initial_weights.push_str(&format!("; prompt {}", ctx.secrets().hide(&shown(prompt))));
        }
        ctx.note(&initial_weights);
        let texts = Texts::of(&pretrained, prompt, self.max_length, self.windows)?;
        texts.warn_of_contradictions(ctx, reference, &pretrained.beside);
        let tokens = Tokens::new(ctx, data, &texts)?;
        let job = Job {
            train: self,
            device: ctx.device(),
            config: &pretrained.config,
            form: &form,
            objective,
            train_tokens: &tokens.train,
            dev_tokens: &tokens.dev,
        };
        let trained = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
        let parameters = trained.weights.values().map(|array| array.len() as u64).sum();
        pretrained.weights = trained.weights;
        Ok(Trained {
            network: Network::Encoder { pretrained: Box::new(pretrained), form },
            preparation: texts.preparation,
            longest: texts.longest,
            initial_weights,
            fitted: trained.fitted,
            backend: trained.backend,
            trainable_parameters: trained.trainable_parameters,
            parameters,
            truncated_share: tokens.truncated_share,
            adapter: trained.adapter,
        })
    }

    /// Reads the encoder in a folder with the recipe's dropout, and returns it with the weights of
    /// the whole network: the head, where the folder has none that serves, is drawn with the seed.
    pub(super) fn pretrained(
        &self,
        folder: &Path,
        seed: u64,
        labels: &[String],
    ) -> Result<(Pretrained, InitialWeights), StageError> {
        let mut pretrained = Pretrained::read(folder)?;
        let config = &mut pretrained.config;
        if let Some(Freeze::AllButTopLayers(asked)) = self.freeze
            && asked > config.layers
        {
            return Err(Box::new(TrainError::TooManyLayers { asked, found: config.layers }));
        }
        if let Some(rate) = self.dropout {
            (config.hidden_dropout, config.attention_dropout, config.classifier_dropout) =
                (rate, rate, rate);
        }
        let form = pretrained.form(self.model.head)?;
        let weights = pretrained.take_initial_weights(form, labels, seed)?;
        Ok((pretrained, weights))
    }
}
