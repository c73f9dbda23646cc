//! The `training_api` backend: our gradient graph, or anyone's artifacts, run by ONNX Runtime's
//! training API.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use super::artifacts::{Artifacts, BatchInput, LAST_PART, LOGITS, MANY_GROUPS};
use super::checkpoint::{CheckpointFile, MOMENTS, OptimizerState};
use super::error::ArtifactsError;
use super::session::{Step, TrainingSession};
use crate::base::scratch::Scratch;
use crate::engine::backend::binding::Feed;
use crate::engine::backend::error::EngineError;
use crate::engine::backend::gradients::dropout_masks;
use crate::engine::backend::trainer::{Part, State, StepOutcome, Trainer};
use crate::engine::runtime::device::Device;
use crate::engine::runtime::runtime::Runtime;

/// Trains artifacts.
pub struct ApiTrainer {
    session: TrainingSession,
    artifacts: Artifacts,
    device: Device,
    /// The evaluation model's output with the logits.
    logits: String,
    /// What the evaluation model takes with each batch. It computes a loss beside the logits, whose
    /// inputs a prediction does not have.
    evaluated: Vec<BatchInput>,
    /// Of the step that is not taken yet.
    outcome: StepOutcome,
    outcomes: Vec<StepOutcome>,
}

impl ApiTrainer {
    /// Opens the artifacts for training, from the state that their checkpoint holds.
    pub fn new(
        runtime: &Runtime,
        device: Device,
        artifacts: Artifacts,
    ) -> Result<ApiTrainer, EngineError> {
        let logits = artifacts.logits().unwrap_or_else(|| LOGITS.to_owned());
        let session = TrainingSession::new(runtime, device, &artifacts)?;
        let evaluated = artifacts.evaluation_inputs()?;
        let (outcome, outcomes) = Default::default();
        Ok(ApiTrainer { session, artifacts, device, logits, evaluated, outcome, outcomes })
    }

    /// Returns the evaluation model up to the logits with these parameters in it: one ONNX file for
    /// inference.
    pub fn export(
        &mut self,
        runtime: &Runtime,
        trained: &BTreeMap<String, ArrayD<f32>>,
    ) -> Result<Vec<u8>, EngineError> {
        for (name, values) in &mut self.artifacts.checkpoint.trained {
            values.clone_from(
                trained.get(name).ok_or_else(|| EngineError::MissingParameter(name.clone()))?,
            );
        }
        self.session = TrainingSession::new(runtime, self.device, &self.artifacts)?;
        // The API writes to paths only.
        let folder = Scratch::anywhere()?;
        let file = folder.path().join("model.onnx");
        self.session.export(&file, &self.logits)?;
        Ok(fs_err::read(file)?)
    }

    /// Returns the whole state as a checkpoint: what `SaveCheckpoint` writes.
    pub fn checkpoint(&self) -> Result<CheckpointFile, EngineError> {
        // The API writes to paths only.
        let folder = Scratch::anywhere()?;
        let file = folder.path().join("checkpoint");
        self.session.save(&file)?;
        Ok(CheckpointFile::read(&fs_err::read(file)?)?)
    }
}

impl Trainer for ApiTrainer {
    fn accumulate(
        &mut self,
        _: &Runtime,
        mut feeds: Vec<(String, Feed)>,
        part: Part,
    ) -> Result<(), EngineError> {
        feeds.extend(dropout_masks(&self.artifacts.sites, &feeds, part.dropout_key));
        feeds.push(("dropout_key".to_owned(), Feed::I64(vec![1], vec![part.dropout_key])));
        feeds.push((LAST_PART.to_owned(), Feed::I64(vec![1], vec![i64::from(part.last)])));
        let Step { loss, gradient_norm } = self.session.train_step(feeds)?;
        self.outcome.losses.push(loss);
        // The last part's is the step's.
        self.outcome.gradient_norm = gradient_norm;
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), EngineError> {
        self.outcome = StepOutcome::default();
        self.session.forget()
    }

    fn update(&mut self, learning_rates: &[f64]) -> Result<(), EngineError> {
        let &[learning_rate] = learning_rates else {
            return Err(ArtifactsError::Optimizer(MANY_GROUPS).into());
        };
        self.session.update(learning_rate as f32)?;
        self.outcomes.push(std::mem::take(&mut self.outcome));
        Ok(())
    }

    fn outcomes(&mut self) -> Result<Vec<StepOutcome>, EngineError> {
        Ok(std::mem::take(&mut self.outcomes))
    }

    fn logits(
        &mut self,
        _: &Runtime,
        mut feeds: Vec<(String, Feed)>,
    ) -> Result<ArrayD<f32>, EngineError> {
        let rows = feeds.first().map_or(0, |(_, feed)| feed.shape()[0]);
        for input in &self.evaluated {
            if feeds.iter().all(|(name, _)| *name != input.name) {
                feeds.extend(input.zeros(rows).map(|zeros| (input.name.clone(), zeros)));
            }
        }
        self.session.eval_step(feeds, &self.logits)
    }

    fn trained(&self) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
        let names = self.artifacts.checkpoint.trained.iter().map(|(name, _)| name);
        names.map(|name| Ok((name.clone(), self.session.parameter(name)?))).collect()
    }

    fn state(&mut self) -> Result<State, EngineError> {
        let checkpoint = self.checkpoint()?;
        let mut state = State::new();
        for (name, array) in checkpoint.trained {
            state.insert(format!("parameter/{name}"), array.into_iter().collect());
        }
        for (name, moments) in
            checkpoint.optimizer.into_iter().flat_map(|optimizer| optimizer.moments)
        {
            for (place, moment) in moments.into_iter().enumerate() {
                state.insert(format!("state.{place}/{name}"), moment.into_iter().collect());
            }
        }
        Ok(state)
    }

    fn restore(&mut self, runtime: &Runtime, state: &State, steps: u64) -> Result<(), EngineError> {
        let array = |key: String, like: &ArrayD<f32>| {
            let values =
                state.get(&key).ok_or_else(|| EngineError::MissingParameter(key.clone()))?;
            ArrayD::from_shape_vec(like.shape(), values.clone()).map_err(|_| {
                EngineError::ParameterShape {
                    name: key,
                    expected: like.shape().to_vec(),
                    found: vec![values.len()],
                }
            })
        };
        let mut optimizer = OptimizerState { steps, ..OptimizerState::default() };
        for (name, values) in &mut self.artifacts.checkpoint.trained {
            *values = array(format!("parameter/{name}"), values)?;
            // SGD has one or none.
            let moments = (0..MOMENTS.len())
                .map(|place| format!("state.{place}/{name}"))
                .take_while(|key| state.contains_key(key))
                .map(|key| array(key, values));
            optimizer.moments.insert(name.clone(), moments.collect::<Result<_, _>>()?);
        }
        self.artifacts.checkpoint.optimizer = Some(optimizer);
        // The API takes an optimizer's state only when it opens a session.
        self.session = TrainingSession::new(runtime, self.device, &self.artifacts)?;
        Ok(())
    }
}
