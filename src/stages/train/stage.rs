//! The work of `train`.

use std::path::Path;

use super::artifacts;
use super::backend::Choice;
use super::check;
use super::config::{Backend, ClassWeights, Freeze, Train};
use super::encoder::{self, Job};
use super::fit::Fitted;
use crate::base::report::Report;
use crate::engine::{Device, EngineError, Kernels, Precision, RuntimeIdentity};
use crate::model::{Dropout, Pretrained, Weights, init, resolve};
use crate::stages::artifact::{Artifact, Network, TrainedModel, TrainingSummary};
use crate::stages::predict::{longest, tokenize};
use crate::stages::stage::{
    CheckError, Ctx, External, Fact, Inputs, Kind, Port, Stage, StageError,
};
use crate::table::{AugmentationSummary, DataSet, Example};
use crate::text::TokenizedText;

/// Data or a model that this training cannot be done with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrainError {
    #[error(
        "`class_weights` names `{name}`, which is not a label of the data; the labels are {labels}"
    )]
    UnknownClass { name: String, labels: String },
    #[error("`class_weights` has no weight for the label `{name}`")]
    #[diagnostic(help("give every label of the data a weight; 1 leaves it unchanged"))]
    MissingClass { name: String },
    #[error("`freeze` leaves nothing to train")]
    #[diagnostic(help(
        "the head's parameters start with `classifier`; remove the pattern that matches them"
    ))]
    AllFrozen,
    #[error(
        "`freeze` has the pattern `{pattern}`, which matches no parameter; examples of parameters \
         are {examples}"
    )]
    #[diagnostic(help(
        "`*` matches any text, and a pattern matches whole names: `embeddings.*`, `*.layer.0.*`"
    ))]
    IdlePattern { pattern: String, examples: String },
    #[error("`freeze: {{ all_but_top_layers: {asked} }}` exceeds the model's {found} layers")]
    #[diagnostic(help("leave out `freeze` to train everything"))]
    TooManyLayers { asked: usize, found: usize },
    #[error("`precision: tf32` needs a GPU, but this training runs on the CPU")]
    #[diagnostic(help("add `--device cuda`, or use `fp32`"))]
    Tf32,
}

impl Stage for Train {
    fn code_version(&self) -> u32 {
        5
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        vec![Port { field: "data", stage: &self.data, expects: Kind::Data }]
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        // The plan reports an input of the wrong kind itself.
        let Some(Fact::Data(data)) = inputs.first() else { return Ok(Fact::Model) };
        let problems = check::check(self, data);
        if problems.is_empty() { Ok(Fact::Model) } else { Err(problems) }
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

    fn uses_runtime(&self) -> bool {
        true
    }

    fn device(&self) -> Option<Device> {
        self.device
    }

    fn pauses(&self) -> Option<&'static str> {
        self.stop_after.map(|_| "stop_after")
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

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Artifact, StageError> {
        let data = inputs.data("data");
        self.check_labels(data)?;
        let trained = match &self.artifacts {
            Some(name) => artifacts::run(ctx, self, name, data)?,
            None => self.run_encoder(ctx, data)?,
        };
        let Trained { network, fitted, backend, .. } = trained;
        if fitted.parts > 1 {
            ctx.note(&format!(
                "batches of {} were computed in up to {} parts; the steps are the same as with \
                 whole batches, except for the dropout masks",
                self.batch_size, fitted.parts
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
            device: ctx.device().to_string(),
            trainable_parameters: trained.trainable_parameters,
            parameters: trained.parameters,
            truncated_share: trained.truncated_share,
            best_epoch: fitted.best_epoch,
            parts: (fitted.parts > 1).then_some(fitted.parts as u64),
            skipped_steps: self.precision.scales_loss().then_some(fitted.skipped.len() as u64),
            augmentation: (!data.augmentation.rows.is_empty())
                .then(|| AugmentationSummary::of(&data.augmentation.rows)),
        };
        Ok(Artifact::Model(TrainedModel {
            network,
            labels: data.labels.clone(),
            max_length: self.max_length,
            summary,
            curves: fitted.curves,
        }))
    }
}

/// What a training gives, whatever network it trains.
pub(super) struct Trained {
    pub network: Network,
    pub fitted: Fitted,
    pub backend: Choice,
    pub trainable_parameters: u64,
    pub parameters: u64,
    pub truncated_share: f64,
}

/// The tokens of a data set that training reads.
pub(super) struct Tokens {
    pub train: Vec<TokenizedText>,
    pub dev: Vec<TokenizedText>,
    pub truncated_share: f64,
}

impl Tokens {
    /// Tokenizes train and dev, and says how many texts are longer than `longest`.
    pub(super) fn new(
        ctx: &dyn Ctx,
        data: &DataSet,
        longest: usize,
        encode: impl Fn(&[&str]) -> Result<Vec<TokenizedText>, StageError>,
    ) -> Result<Tokens, StageError> {
        let encode = |examples: &[Example]| {
            encode(&examples.iter().map(|example| example.text.as_str()).collect::<Vec<_>>())
        };
        let (train, dev) = (encode(&data.train)?, encode(&data.dev)?);
        let truncated = train.iter().filter(|text| text.truncated).count();
        if truncated > 0 {
            ctx.note(&format!(
                "{truncated} of {} train texts are truncated to {longest} tokens",
                train.len()
            ));
        }
        let truncated_share = truncated as f64 / train.len().max(1) as f64;
        Ok(Tokens { train, dev, truncated_share })
    }
}

impl Train {
    fn run_encoder(&self, ctx: &dyn Ctx, data: &DataSet) -> Result<Trained, StageError> {
        let (mut pretrained, weights) =
            self.pretrained(ctx.folder(), ctx.seed(), data.labels.len(), ctx)?;
        let tokens =
            Tokens::new(ctx, data, longest(&pretrained.config, self.max_length), |texts| {
                tokenize(&pretrained, texts, self.max_length)
            })?;
        let job = Job {
            train: self,
            device: ctx.device(),
            config: &pretrained.config,
            data,
            train_tokens: &tokens.train,
            dev_tokens: &tokens.dev,
        };
        let trained = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
        let parameters = trained.weights.values().map(|array| array.len() as u64).sum();
        pretrained.weights = trained.weights;
        Ok(Trained {
            network: Network::Encoder { pretrained, head: self.model.head },
            fitted: trained.fitted,
            backend: trained.backend,
            trainable_parameters: trained.trainable_parameters,
            parameters,
            truncated_share: tokens.truncated_share,
        })
    }

    /// Reads the encoder with the recipe's dropout, and returns it with the weights of the whole
    /// network: the head, where the encoder has none for these classes, is drawn with the seed.
    pub(super) fn pretrained(
        &self,
        folder: &Path,
        seed: u64,
        labels: usize,
        report: &dyn Report,
    ) -> Result<(Pretrained, Weights), StageError> {
        let mut pretrained =
            Pretrained::read(&resolve::resolve(&self.model.pretrained, folder, report)?)?;
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
        let rows = config.vocabulary;
        let whole =
            encoder::network(config, self, labels, rows, Kernels::Standard, Dropout::Off)?.network;
        let mut weights = std::mem::take(&mut pretrained.weights);
        init::fill(&whole.graph, &pretrained.config, &mut weights, seed);
        weights.retain(|name, _| whole.graph.parameters().any(|(used, _)| used == name));
        Ok((pretrained, weights))
    }

    pub(super) fn check_labels(&self, data: &DataSet) -> Result<(), TrainError> {
        let Some(ClassWeights::Given(weights)) = &self.loss.class_weights else { return Ok(()) };
        if let Some(name) = weights.keys().find(|name| !data.labels.contains(name)) {
            return Err(TrainError::UnknownClass {
                name: name.clone(),
                labels: data.labels.join(", "),
            });
        }
        match data.labels.iter().find(|label| !weights.contains_key(*label)) {
            Some(name) => Err(TrainError::MissingClass { name: name.clone() }),
            None => Ok(()),
        }
    }
}
