//! The work of `train`.

use std::path::Path;

use super::check;
use super::config::{ClassWeights, Freeze, Train};
use super::encoder::{self, Job};
use crate::base::report::Report;
use crate::engine::{Device, Kernels};
use crate::model::{Dropout, Pretrained, Weights, init, resolve};
use crate::stages::artifact::{Artifact, TrainedModel, TrainingSummary};
use crate::stages::predict::{longest, tokenize};
use crate::stages::stage::{CheckError, Ctx, External, Fact, Inputs, Kind, Port, Stage, StageError};
use crate::table::DataSet;

/// Data or a model that this training cannot be done with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrainError {
    #[error("`class_weights` names `{name}`, which is no label of the data; the labels are {labels}")]
    UnknownClass { name: String, labels: String },
    #[error("`class_weights` has no weight for the label `{name}`")]
    #[diagnostic(help("give every label of the data a weight, 1 where it should count as it is"))]
    MissingClass { name: String },
    #[error("`freeze` leaves nothing to train")]
    #[diagnostic(help(
        "the head's parameters start with `classifier`; take the pattern that matches them away"
    ))]
    AllFrozen,
    #[error("`freeze` has the pattern `{pattern}`, which matches no parameter; there are such as {examples}")]
    #[diagnostic(help(
        "`*` stands for any text, and a pattern matches whole names: `embeddings.*`, `*.layer.0.*`"
    ))]
    IdlePattern { pattern: String, examples: String },
    #[error("`freeze: {{ all_but_top_layers: {asked} }}` asks for more layers than the model's {found}")]
    #[diagnostic(help("leave out `freeze` to train everything"))]
    TooManyLayers { asked: usize, found: usize },
    #[error("the recipe cannot be written for the training API: {reason}")]
    #[diagnostic(help("{remedy}"))]
    Misfit { reason: &'static str, remedy: &'static str },
    #[error("there is no training on `{0}` yet")]
    #[diagnostic(help("use `--device cpu`"))]
    Device(Device),
}

impl Stage for Train {
    fn code_version(&self) -> u32 {
        2
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

    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        let name = self.model.pretrained.clone();
        let digest = resolve::identity(&name, folder, fetch)?;
        Ok(vec![External { name, digest }])
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn uses_runtime(&self) -> bool {
        true
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Artifact, StageError> {
        let data = inputs.data("data");
        self.check_labels(data)?;
        if let device @ Device::Cuda(_) = ctx.device() {
            return Err(Box::new(TrainError::Device(device)));
        }
        let (mut pretrained, weights) = self.pretrained(ctx.folder(), ctx.seed(), data.labels.len(), ctx)?;
        let texts = |examples: &[crate::table::Example]| {
            examples.iter().map(|example| example.text.clone()).collect::<Vec<_>>()
        };
        let (train_texts, dev_texts) = (texts(&data.train), texts(&data.dev));
        let encode = |texts: &[String]| {
            tokenize(&pretrained, &texts.iter().map(String::as_str).collect::<Vec<_>>(), self.max_length)
        };
        let (train_tokens, dev_tokens) = (encode(&train_texts)?, encode(&dev_texts)?);
        let truncated = train_tokens.iter().filter(|text| text.truncated).count();
        let truncated_share = truncated as f64 / train_tokens.len().max(1) as f64;
        if truncated > 0 {
            let longest = longest(&pretrained.config, self.max_length);
            ctx.note(&format!(
                "{truncated} of {} train texts are cut to {longest} tokens",
                train_tokens.len()
            ));
        }
        let job = Job {
            train: self,
            device: ctx.device(),
            config: &pretrained.config,
            data,
            train_tokens: &train_tokens,
            dev_tokens: &dev_tokens,
        };
        let trained = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
        let summary = TrainingSummary {
            steps: trained.fitted.steps,
            seconds: trained.fitted.seconds,
            backend: trained.backend.name().to_owned(),
            backend_reason: trained.backend.reason.clone(),
            device: Device::Cpu.to_string(),
            trainable_parameters: trained.trainable_parameters,
            parameters: trained.weights.values().map(|array| array.len() as u64).sum(),
            truncated_share,
            best_epoch: trained.fitted.best_epoch,
        };
        pretrained.weights = trained.weights;
        Ok(Artifact::Model(TrainedModel {
            pretrained,
            labels: data.labels.clone(),
            head: self.model.head,
            max_length: self.max_length,
            summary,
            curves: trained.fitted.curves,
        }))
    }
}

impl Train {
    /// Reads the encoder with the recipe's dropout, and returns it with the weights of the whole network: the head, where the encoder has
    /// none for these classes, is drawn with the seed.
    pub(super) fn pretrained(
        &self,
        folder: &Path,
        seed: u64,
        labels: usize,
        report: &dyn Report,
    ) -> Result<(Pretrained, Weights), StageError> {
        let mut pretrained = Pretrained::read(&resolve::resolve(&self.model.pretrained, folder, report)?)?;
        let config = &mut pretrained.config;
        if let Some(Freeze::AllButTopLayers(asked)) = self.freeze
            && asked > config.layers
        {
            return Err(Box::new(TrainError::TooManyLayers { asked, found: config.layers }));
        }
        if let Some(rate) = self.dropout {
            (config.hidden_dropout, config.attention_dropout, config.classifier_dropout) = (rate, rate, rate);
        }
        let rows = config.vocabulary;
        let whole = encoder::network(config, self, labels, rows, Kernels::Standard, Dropout::Off)?.network;
        let mut weights = std::mem::take(&mut pretrained.weights);
        init::fill(&whole.graph, &pretrained.config, &mut weights, seed);
        weights.retain(|name, _| whole.graph.parameters().any(|(used, _)| used == name));
        Ok((pretrained, weights))
    }

    pub(super) fn check_labels(&self, data: &DataSet) -> Result<(), TrainError> {
        let Some(ClassWeights::Given(weights)) = &self.loss.class_weights else { return Ok(()) };
        if let Some(name) = weights.keys().find(|name| !data.labels.contains(name)) {
            return Err(TrainError::UnknownClass { name: name.clone(), labels: data.labels.join(", ") });
        }
        match data.labels.iter().find(|label| !weights.contains_key(*label)) {
            Some(name) => Err(TrainError::MissingClass { name: name.clone() }),
            None => Ok(()),
        }
    }
}
