//! The loop above a trainer that runs out of memory.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use ndarray::ArrayD;

use super::{Fitted, Job};
use crate::data::{DataSet, Example, Splits, Task};
use crate::engine::backend::binding::Feed;
use crate::engine::samples::harness::runtime;
use crate::engine::{EngineError, Part, Runtime, State, StepOutcome, Trainer};
use crate::model::input_layout::InputLayout;
use crate::stages::test_ctx::TestCtx;
use crate::stages::train::config::Train;
use crate::stages::train::objective::{Classification, Form};
use crate::text::TokenizedText;

type TestError = Box<dyn std::error::Error>;

/// Has room for so many tokens at a time, and trains nothing.
struct Small {
    room: usize,
    /// The shape and the sum of the targets of each part of the step.
    parts: Vec<([usize; 2], f32)>,
    abandoned: usize,
    spares: bool,
    steps: Vec<Vec<([usize; 2], f32)>>,
    outcomes: Vec<StepOutcome>,
    /// Whether the gradients of every step overflow.
    overflows: bool,
}

impl Trainer for Small {
    fn accumulate(
        &mut self,
        _: &Runtime,
        feeds: Vec<(String, Feed)>,
        _: Part,
    ) -> Result<(), EngineError> {
        let shape = feeds[0].1.shape();
        if shape[0] * shape[1] > self.room {
            return Err(EngineError::out_of_memory());
        }
        let targets = feeds.iter().find(|(name, _)| name == "targets").map(|(_, targets)| targets);
        let Some(Feed::F32(_, targets)) = targets else { return Err(EngineError::NoOutput) };
        self.parts.push(([shape[0], shape[1]], targets.iter().sum()));
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), EngineError> {
        self.abandoned += 1;
        self.parts.clear();
        Ok(())
    }

    fn spare_memory(&mut self) {
        self.spares = true;
    }

    fn update(&mut self, _: &[f64]) -> Result<(), EngineError> {
        let losses = self.parts.iter().map(|(_, share)| *share).collect();
        // As if the gradients of the second step had overflowed.
        let skipped = self.overflows || self.steps.len() == 1;
        let gradient_norm = Some(if skipped { f32::INFINITY } else { 1.0 });
        self.outcomes.push(StepOutcome { losses, gradient_norm, skipped });
        self.steps.push(std::mem::take(&mut self.parts));
        Ok(())
    }

    fn outcomes(&mut self) -> Result<Vec<StepOutcome>, EngineError> {
        Ok(std::mem::take(&mut self.outcomes))
    }

    /// More than an epoch has: its end asks.
    fn lag(&self) -> usize {
        16
    }

    fn logits(&mut self, _: &Runtime, _: Vec<(String, Feed)>) -> Result<ArrayD<f32>, EngineError> {
        Err(EngineError::NoOutput)
    }

    fn trained(&self) -> Result<BTreeMap<String, ArrayD<f32>>, EngineError> {
        Ok(BTreeMap::new())
    }

    fn state(&mut self) -> Result<State, EngineError> {
        Ok(State::new())
    }

    fn restore(&mut self, _: &Runtime, _: &State, _: u64) -> Result<(), EngineError> {
        Ok(())
    }
}

fn run(room: usize, splits: bool, overflows: bool) -> Result<(Small, Fitted, String), TestError> {
    let settings = serde_json::json!({
        "data": "data", "model": { "pretrained": "x" },
        "epochs": 2, "batch_size": 8, "accumulation": 2,
    });
    let train: Train = serde_json::from_value(settings)?;
    let example = |index: usize| Example::original(index.to_string(), "", index % 2);
    let data = DataSet {
        task: Task::Classes { labels: vec!["a".into(), "b".into()] },
        splits: Splits { train: (0..32).map(example).collect(), ..Splits::default() },
        ..DataSet::default()
    };
    let tokens: Vec<TokenizedText> =
        (0..32).map(|_| TokenizedText { ids: vec![1; 5], ..TokenizedText::default() }).collect();
    let ctx = TestCtx::new(1)?;
    let mut trainer = Small {
        room,
        parts: Vec::new(),
        abandoned: 0,
        spares: false,
        steps: Vec::new(),
        outcomes: Vec::new(),
        overflows,
    };
    let job = Job {
        settings: &train.settings(),
        objective: &Classification::new(&train.loss, &data, Form::Targets)?,
        train_tokens: &tokens,
        dev_tokens: &[],
        combine: None,
        layout: InputLayout { padding_id: 0, first_position: 0 },
        learning_rates: vec![1e-3],
        resumes: false,
        splits,
        state_bytes: 0,
    };
    let fitted =
        super::run(&ctx, runtime(), &job, &mut trainer).map_err(|error| error.to_string())?;
    let warnings = ctx.warnings.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    Ok((trainer, fitted, warnings))
}

#[test]
fn a_step_is_taken_again_in_smaller_parts() -> Result<(), TestError> {
    // 8 texts of 5 tokens are too many, 4 are not.
    let (trainer, fitted, warnings) = run(20, true, false)?;
    assert_eq!((trainer.abandoned, trainer.steps.len(), fitted.steps), (1, 4, 4));
    for step in &trainer.steps {
        assert_eq!(step.iter().map(|(shape, _)| *shape).collect::<Vec<_>>(), [[4, 5]; 4]);
        let total: f32 = step.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-6, "the parts weigh as much as their batches: {total}");
    }
    assert_eq!((fitted.micro_batches, trainer.spares), (2, true));
    let norms: Vec<Option<f64>> = fitted.curves.0.iter().map(|point| point.gradient_norm).collect();
    assert_eq!((norms, fitted.skipped), (vec![Some(1.0), None, Some(1.0), Some(1.0)], vec![2]));
    assert!(warnings.contains("parts of at most 20 tokens"), "{warnings}");
    Ok(())
}

#[test]
fn what_one_text_has_no_room_for_is_an_error() -> Result<(), TestError> {
    let told = |room, splits| {
        run(room, splits, false).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(told(4, true).contains("out of memory"));
    assert!(told(20, false).contains("out of memory"), "artifacts are computed whole");
    Ok(())
}

#[test]
fn a_training_without_a_step_is_an_error() {
    let told = run(1000, true, true).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("the norm of the gradients is inf at step 4"), "{told}");
}
