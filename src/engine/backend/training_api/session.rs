//! A training session of ONNX Runtime's training API: the one place that calls it.
//!
//! `ort` wraps the API, but its steps panic on their outputs, and its sessions make a pool of
//! threads each. Both are called directly here. What that relies on: the session's pointer is alive
//! as long as the [`Trainer`] that owns it; every call returns a status, which is checked before
//! anything it wrote is read; a successful step has written one owned value for each of the model's
//! outputs.
#![expect(unsafe_code, reason = "steps and names are asked for by raw calls")]

use std::ffi::CStr;
use std::path::Path;
use std::ptr::{self, NonNull};

use ndarray::ArrayD;
use ort::AsPointer;
use ort::memory::Allocator;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::sys::{
    OrtAllocator, OrtRunOptions, OrtStatusPtr, OrtTrainingApi, OrtTrainingSession, OrtValue,
};
use ort::training::{Checkpoint, Trainer, training_api};
use ort::value::{DynValue, Value};

use super::artifacts::Artifacts;
use crate::engine::backend::binding::{Feed, OPENING};
use crate::engine::backend::error::EngineError;
use crate::engine::graph::optimizer::GRADIENT_NORM;
use crate::engine::kernel::register;
use crate::engine::runtime::device::Device;
use crate::engine::runtime::runtime::Runtime;

/// A model that trains, one that evaluates and one that updates, over the same parameters.
pub struct TrainingSession {
    trainer: Trainer,
    api: &'static OrtTrainingApi,
    training: Names,
    evaluation: Names,
}

/// What a step of the training model gives.
pub struct Step {
    pub loss: f32,
    pub gradient_norm: Option<f32>,
}

struct Names {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

type Call = unsafe extern "system" fn(
    *mut OrtTrainingSession,
    *const OrtRunOptions,
    usize,
    *const *const OrtValue,
    usize,
    *mut *mut OrtValue,
) -> OrtStatusPtr;
type Count = unsafe extern "system" fn(*const OrtTrainingSession, *mut usize) -> OrtStatusPtr;
type Name = unsafe extern "system" fn(
    *const OrtTrainingSession,
    usize,
    *mut OrtAllocator,
    *mut *const std::ffi::c_char,
) -> OrtStatusPtr;

impl TrainingSession {
    /// Opens a session over artifacts, on the device that is asked for.
    pub fn new(
        runtime: &Runtime,
        device: Device,
        artifacts: &Artifacts,
    ) -> Result<TrainingSession, EngineError> {
        let api = training_api()
            .map_err(|_| EngineError::NoTrainingApi { library: runtime.identity.describe() })?;
        let _turn = OPENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let builder = Session::builder(&runtime.environment)?;
        let builder = builder
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(ort::Error::from)?;
        let builder = builder.with_memory_pattern(false).map_err(ort::Error::from)?;
        let builder = builder.with_deterministic_compute(true).map_err(ort::Error::from)?;
        let mut builder = builder.with_operators(register::domain()?).map_err(ort::Error::from)?;
        if let Device::Cuda(number) = device {
            let provider =
                ort::ep::CUDA::default().with_device_id(number as i32).build().error_on_failure();
            builder = builder.with_execution_providers([provider]).map_err(ort::Error::from)?;
        }
        // SAFETY: the options are alive; all sessions share the environment's threads, as those of
        // the other backend do.
        check(unsafe { (ort::api().DisablePerSessionThreads)(builder.ptr_mut()) })?;
        let checkpoint = Checkpoint::load_from_buffer(&artifacts.checkpoint.write()?)?;
        let trainer = Trainer::new_from_memory(
            builder,
            Allocator::default(),
            checkpoint,
            &artifacts.training,
            &artifacts.evaluation,
            &artifacts.optimizer,
        )?;
        let training = Names {
            inputs: names(
                &trainer,
                api.TrainingSessionGetTrainingModelInputCount,
                api.TrainingSessionGetTrainingModelInputName,
            )?,
            outputs: names(
                &trainer,
                api.TrainingSessionGetTrainingModelOutputCount,
                api.TrainingSessionGetTrainingModelOutputName,
            )?,
        };
        let evaluation = Names {
            inputs: names(
                &trainer,
                api.TrainingSessionGetEvalModelInputCount,
                api.TrainingSessionGetEvalModelInputName,
            )?,
            outputs: names(
                &trainer,
                api.TrainingSessionGetEvalModelOutputCount,
                api.TrainingSessionGetEvalModelOutputName,
            )?,
        };
        Ok(TrainingSession { trainer, api, training, evaluation })
    }

    /// Adds the gradients of a batch to the buffers and returns the first output, which is the
    /// loss, and the gradients' norm where the model gives it.
    pub fn train_step(&mut self, feeds: Vec<(String, Feed)>) -> Result<Step, EngineError> {
        let outputs = step(&mut self.trainer, self.api.TrainStep, &self.training, feeds)?;
        let scalar = |place: usize| -> Result<f32, EngineError> {
            let values =
                outputs.get(place).ok_or(EngineError::NoOutput)?.try_extract_array::<f32>()?;
            Ok(values.iter().copied().next().unwrap_or(f32::NAN))
        };
        let norm = self.training.outputs.iter().position(|name| name == GRADIENT_NORM);
        Ok(Step { loss: scalar(0)?, gradient_norm: norm.map(scalar).transpose()? })
    }

    /// Returns an output of the evaluation model for a batch.
    pub fn eval_step(
        &mut self,
        feeds: Vec<(String, Feed)>,
        output: &str,
    ) -> Result<ArrayD<f32>, EngineError> {
        let outputs = step(&mut self.trainer, self.api.EvalStep, &self.evaluation, feeds)?;
        let place = self
            .evaluation
            .outputs
            .iter()
            .position(|name| name == output)
            .ok_or(EngineError::NoOutput)?;
        Ok(outputs[place].try_extract_array::<f32>()?.to_owned())
    }

    /// Has the next step empty the buffers.
    pub fn forget(&mut self) -> Result<(), EngineError> {
        Ok(self.trainer.optimizer().reset_grad()?)
    }

    /// Updates the parameters with what the buffers hold, and has the next step empty them.
    pub fn update(&mut self, learning_rate: f32) -> Result<(), EngineError> {
        let mut optimizer = self.trainer.optimizer();
        optimizer.set_lr(learning_rate)?;
        optimizer.step()?;
        Ok(optimizer.reset_grad()?)
    }

    /// Returns a parameter as it is now.
    pub fn parameter(&self, name: &str) -> Result<ArrayD<f32>, EngineError> {
        let tensor = self.trainer.checkpoint().get_parameter(name, &Allocator::default())?;
        Ok(tensor.try_extract_array::<f32>()?.to_owned())
    }

    /// Writes the parameters and the optimizer's state to a file.
    pub fn save(&self, file: &Path) -> Result<(), EngineError> {
        Ok(self.trainer.checkpoint().save(file, true)?)
    }

    /// Writes the evaluation model up to an output, with the parameters in it, to a file.
    pub fn export(&self, file: &Path, output: &str) -> Result<(), EngineError> {
        Ok(self.trainer.export(file, [output])?)
    }
}

fn step(
    trainer: &mut Trainer,
    call: Call,
    names: &Names,
    mut feeds: Vec<(String, Feed)>,
) -> Result<Vec<DynValue>, EngineError> {
    let mut values = Vec::with_capacity(names.inputs.len());
    for name in &names.inputs {
        let place = feeds
            .iter()
            .position(|(known, _)| known == name)
            .ok_or_else(|| EngineError::MissingInput(name.clone()))?;
        values.push(feeds.swap_remove(place).1.into_value()?);
    }
    let inputs: Vec<*const OrtValue> = values.iter().map(AsPointer::ptr).collect();
    let mut outputs: Vec<*mut OrtValue> = vec![ptr::null_mut(); names.outputs.len()];
    // SAFETY: the session and all values are alive, both lists are as long as is said, and null
    // asks for default options and for outputs in memory of the session's own.
    check(unsafe {
        call(
            trainer.ptr_mut(),
            ptr::null(),
            inputs.len(),
            inputs.as_ptr(),
            outputs.len(),
            outputs.as_mut_ptr(),
        )
    })?;
    outputs
        .into_iter()
        .map(|output| {
            let output = NonNull::new(output).ok_or(EngineError::NoOutput)?;
            // SAFETY: the step has written a value here that nobody else owns.
            Ok(unsafe { Value::from_ptr(output, Some(&Allocator::default())) })
        })
        .collect()
}

fn names(trainer: &Trainer, count: Count, name: Name) -> Result<Vec<String>, EngineError> {
    let allocator = Allocator::default();
    let mut found = 0;
    // SAFETY: the session is alive, and the count is written where the second pointer says.
    check(unsafe { count(trainer.ptr(), &raw mut found) })?;
    (0..found)
        .map(|index| {
            let mut text = ptr::null();
            // SAFETY: as above; the index is below the count.
            check(unsafe {
                name(trainer.ptr(), index, allocator.ptr().cast_mut(), &raw mut text)
            })?;
            // SAFETY: the call has written a text that ends with a zero and that the allocator is
            // to free.
            let owned = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
            // SAFETY: the text came from this allocator and is not used any more.
            unsafe { allocator.free(text.cast_mut()) };
            Ok(owned)
        })
        .collect()
}

fn check(status: OrtStatusPtr) -> Result<(), EngineError> {
    // SAFETY: a status is null or owned by the caller; this takes it.
    Ok(unsafe { ort::Error::result_from_status(status) }?)
}
