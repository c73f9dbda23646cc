//! The work of `train`.

use std::path::Path;
use std::sync::Arc;

use super::config::Train;
use super::error::TrainError;
use super::folds;
use super::found::Found;
use super::method::contract::Work;
use super::objective::loss::check_labels;
use super::objective::{Classification, Objective};
use super::settings::{Backend, FROM, Settings};
use super::stand_in::Answer;
use super::{artifacts, check, settings, trained_model};
use crate::base::peak::Peak;
use crate::base::report::Report;
use crate::data::{AugmentationSummary, DataSet, Seen, Split, TaskKind};
use crate::engine::{Device, EngineError, Precision, RuntimeIdentity};
use crate::model::pretrained::SEEN_TEXTS;
use crate::stages::adapt::adapted::StoredEncoder;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Kind, Output, TrainedModel, TrainingSummary};
use crate::stages::contract::stage::{
    Ctx, Epochs, External, Fact, Find, Port, RuntimeNeeds, Stage,
};
use crate::stages::figure::Figures;

/// Fewer dev texts than these tell one epoch from another by luck.
const FEW_DEV: usize = 50;

impl Stage for Train {
    fn code_version(&self) -> u32 {
        settings::CODE_VERSION
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let mut inputs =
            vec![Port { field: "data", stage: &self.data, expects: Kind::DATA, draw: 0 }];
        inputs.extend(self.model.input());
        inputs.extend(Classification::inputs(&self.loss));
        inputs.extend(self.method.learner().inputs());
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
        let mut externals = self.model.externals(folder, fetch)?;
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
        let takes = self.takes("epochs") && self.takes("stop_after");
        takes.then(|| self.span().epochs().map_or(Epochs::Budget, Epochs::Fixed))
    }

    fn pause_at(&mut self, epochs: u32) {
        if self.takes("stop_after") {
            self.stop_after = Some(epochs);
        }
    }

    /// Fills the defaults of the method in, so that it does not matter whether they are spelt out.
    fn complete(&mut self, _: &Find<'_>) {
        self.fill();
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let data = inputs.data("data");
        let given = self.model.from.as_ref().map(|_| inputs.get(FROM));
        let Found { folder, identity, mut seen, learnt } = Found::new(ctx, &self.model, given)?;
        if let Some(artifacts) = &self.artifacts {
            seen.add(&Seen::read(&ctx.folder().join(artifacts).join(SEEN_TEXTS))?);
        }
        let taught = self.method.learner().inputs();
        let teacher = taught.first().map(|port| inputs.model(port.field));
        let mut all = vec![
            (format!("`{}`", self.model.name()), &seen),
            (format!("a model that made texts of `{}`", self.data), &data.seen),
        ];
        let of_teacher = taught.first().zip(teacher);
        all.extend(of_teacher.map(|(port, model)| (format!("`{}`", port.stage), &model.seen)));
        for (who, seen) in all {
            self.duplicates.check(ctx, (&who, seen), (&self.data, data), Split::Dev)?;
        }
        seen.add(&data.seen_by_training());
        if let Some(teacher) = teacher {
            seen.add(&teacher.seen);
        }
        if self.method.learner().reads_unlabelled() {
            seen.add(&data.seen_without_labels());
        }
        let dev = data.splits.dev.len();
        if self.early_stopping.is_some() && dev < FEW_DEV {
            ctx.warn(&format!(
                "`early_stopping` follows {dev} dev texts, whose scores are mostly luck; a fixed \
                 number of epochs is safer below {FEW_DEV}"
            ));
        }
        let settings = self.settings();
        let (settings, folder, learnt) = (&settings, &folder, &learnt);
        let (weights, known) = (None, None);
        let work = Work { ctx, settings, folder, identity, learnt, data, teacher, weights, known };
        check_labels(&settings.loss, data)?;
        let peak = Peak::start();
        let trained = match &self.artifacts {
            Some(name) => artifacts::run(&work, name)?,
            None => self.method.learner().learn(&work)?,
        };
        let summary = TrainingSummary {
            method: self.method.learner().name().to_owned(),
            device: ctx.device().to_string(),
            peak_memory: peak.bytes(),
            augmentation: (!data.augmentation.rows.is_empty())
                .then(|| AugmentationSummary::of(&data.augmentation.rows)),
            ..trained.summary
        };
        Ok(Arc::new(TrainedModel {
            network: trained.network,
            labels: data.labels().to_vec(),
            max_length: trained.longest,
            preparation: trained.preparation,
            frozen: trained.frozen,
            summary,
            curves: trained.curves,
            seen,
            adapter: trained.adapter,
        }))
    }
}

impl Train {
    /// Returns the logits of every train text by a model of this recipe that has learnt from the
    /// other folds alone. `given` is the encoder of the stage that the recipe names, where it does.
    ///
    /// # Errors
    ///
    /// Fails where a class has too few texts, where texts were generated, and as the training does.
    pub fn held_out(
        &self,
        ctx: &dyn Ctx,
        data: &DataSet,
        folds: Option<usize>,
        given: Option<&StoredEncoder>,
    ) -> Result<Answer, StageError> {
        let settings = Settings { stop_after: None, ..self.settings() };
        let Found { folder, identity, learnt, .. } = Found::new(ctx, &self.model, given)?;
        let (settings, folder, learnt) = (&settings, &folder, &learnt);
        let (teacher, weights, known) = (None, None, None);
        let work = Work { ctx, settings, folder, identity, learnt, data, teacher, weights, known };
        let folds = folds::assign(&work, folds)?;
        folds::held_out(self.method.learner(), &work, &folds)
    }

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
}
