//! The stage `adapt` as the runner sees it.

use std::path::Path;
use std::sync::Arc;

use super::config::{Adapt, Objective};
use super::work::Work;
use crate::base::peak::Peak;
use crate::base::report::Report;
use crate::data::{Split, TaskKind};
use crate::engine::{Device, Precision, RuntimeIdentity};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Kind, Output};
use crate::stages::contract::stage::{Ctx, External, Fact, Find, Port, RuntimeNeeds, Stage};
use crate::stages::train::error::TrainError;
use crate::stages::train::found::Found;
use crate::stages::train::settings::{CODE_VERSION, FROM};

impl Stage for Adapt {
    fn code_version(&self) -> u32 {
        CODE_VERSION
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        let mut inputs =
            vec![Port { field: "data", stage: &self.data, expects: Kind::DATA, draw: 0 }];
        inputs.extend(self.model.input());
        inputs
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        // The plan itself reports an input of the wrong kind.
        let Some(Fact::Data(data)) = inputs.first() else { return Ok(Fact::Of(Kind::ENCODER)) };
        let mut problems = self.problems(data);
        problems.extend(data.misfit("data", &[TaskKind::Classes]));
        if problems.is_empty() { Ok(Fact::Of(Kind::ENCODER)) } else { Err(problems) }
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        self.model.externals(folder, fetch)
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        Some(RuntimeNeeds {
            device: self.device,
            pauses: self.stop_after.map(|_| "stop_after"),
            check: Some(Box::new(|_: &RuntimeIdentity, device| self.check_device(device))),
        })
    }

    /// Fills the defaults of the objective in, so that it does not matter whether they are spelt
    /// out.
    fn complete(&mut self, _: &Find<'_>) {
        self.fill();
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let data = inputs.data("data");
        let given = self.model.from.as_ref().map(|_| inputs.get(FROM));
        let found = Found::new(ctx, &self.model, given)?;
        let mut seen = found.seen.clone();
        seen.add(&data.seen);
        seen.add(&data.seen_without_labels());
        for example in &data.splits.train {
            seen.add_text(Split::Train, &example.text.joined());
        }
        let peak = Peak::start();
        let settings = self.settings();
        let work = Work { ctx, settings: &settings, found: &found, data };
        let mut adapted = match &self.objective {
            Objective::MaskedLm(masked) => work.masked_lm(masked)?,
            Objective::Simcse(simcse) => work.simcse(simcse)?,
            Objective::Tsdae(tsdae) => work.tsdae(tsdae)?,
        };
        adapted.summary.method = self.objective.name().to_owned();
        adapted.summary.device = ctx.device().to_string();
        adapted.summary.peak_memory = peak.bytes();
        (adapted.seen, adapted.learnt) = (seen, found.learnt);
        Ok(Arc::new(adapted))
    }
}

impl Adapt {
    fn check_device(&self, device: Device) -> Result<(), StageError> {
        match self.precision == Precision::Tf32 && device == Device::Cpu {
            true => Err(Box::new(TrainError::Tf32)),
            false => Ok(()),
        }
    }
}
