//! A trained model in a program.

use std::fmt;
use std::path::Path;

use super::answers::{Answer, answers};
use super::model;
use super::standalone::Standalone;
use crate::base::report::{Report, Silent};
use crate::engine::Device;
use crate::stages::inference::trained::Opened;
use crate::stages::{StageError, TrainedModel};

/// A trained model that predicts texts.
///
/// It is opened once and predicts any number of texts. What it says of a text depends on no other
/// text, so that it does not matter how they are put together, and it is what `evaluate` has
/// scored: to the last bit on the CPU with the ONNX Runtime that `pipe` installs, else but for
/// rounding.
///
/// ```no_run
/// let mut classifier = pipe::Classifier::open("models/tickets")?;
/// for answer in classifier.predict(&["I was charged twice", "Where is my card?"])? {
///     println!("{} ({:.2})", answer.label, answer.probability());
/// }
/// # Ok::<(), pipe::ClassifierError>(())
/// ```
pub struct Classifier {
    labels: Vec<String>,
    opened: Opened,
    device: Device,
    threads: usize,
}

/// A model that cannot be opened or used. Its message and [`ClassifierError::help`] are for people.
pub struct ClassifierError(pub(super) StageError);

impl Classifier {
    /// Opens a model in a folder that `pipe` or `transformers` has written, or an ONNX file with
    /// config.json and tokenizer.json beside it, on the CPU with all cores.
    ///
    /// ONNX Runtime is found, or installed, as by `pipe run`.
    ///
    /// # Errors
    ///
    /// Fails where there is no classifier, where its classes have no names, and where ONNX Runtime
    /// cannot be loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Classifier, ClassifierError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let model = model::open(path.as_ref()).map_err(ClassifierError)?;
        let settings = (Device::Cpu, threads);
        Classifier::of(&model, settings, &Silent).map_err(ClassifierError)
    }

    /// Opens a model that was read.
    pub(crate) fn of(
        model: &TrainedModel,
        (device, threads): (Device, usize),
        report: &dyn Report,
    ) -> Result<Classifier, StageError> {
        let ctx = Standalone { report, device, threads, stops: &|| false };
        let opened = model.classifier().open(&ctx)?;
        Ok(Classifier { labels: model.labels.clone(), opened, device, threads })
    }

    /// Returns the names of the classes, in the order of the probabilities.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Predicts texts, in their order.
    ///
    /// # Errors
    ///
    /// Fails where the engine does, and where the model gives what are no probabilities.
    pub fn predict<T: AsRef<str>>(&mut self, texts: &[T]) -> Result<Vec<Answer>, ClassifierError> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        self.answer(&texts, &Silent, &|| false).map_err(ClassifierError)
    }

    /// Predicts texts, as long as nobody asks to stop.
    pub(super) fn answer(
        &mut self,
        texts: &[&str],
        report: &dyn Report,
        stops: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Answer>, StageError> {
        let ctx = Standalone { report, device: self.device, threads: self.threads, stops };
        let logits = self.opened.logits(&ctx, texts, "predicting")?;
        answers(&logits, &self.labels, texts)
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier").field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl ClassifierError {
    /// Returns what can be done about it, where that is known.
    pub fn help(&self) -> Option<String> {
        self.0.help().map(|help| help.to_string())
    }
}

impl fmt::Debug for ClassifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ClassifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ClassifierError {}
