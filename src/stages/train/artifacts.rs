//! Training from artifacts that were made elsewhere: any network, as long as it takes tokens and
//! labels.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;

use super::backend::{Choice, Chosen};
use super::config::{Train, default_gradient_clip};
use super::encoder;
use super::error::TrainError;
use super::r#loop;
use super::method::contract::{Trained, Work};
use super::objective::classification::LABELS;
use super::objective::{Classification, Form, Loss, Objective};
use super::optimizer::Optimizer;
use super::tokens::Tokens;
use crate::base::cut::cut;
use crate::base::digest::Digest;
use crate::base::memo;
use crate::base::report::Report;
use crate::data::{DataSet, Seen};
use crate::engine::backend::training_api::artifacts::{
    CHECKPOINT, EVALUATION, OPTIMIZER, TRAINING,
};
use crate::engine::backend::training_api::checkpoint::MOMENTS;
use crate::engine::backend::training_api::error::ArtifactsError;
use crate::engine::{ApiTrainer, Artifacts, EngineError, Precision, Trainer};
use crate::model::beside::Beside;
use crate::model::input_layout::InputLayout;
use crate::model::pretrained::{CONFIG, SEEN_TEXTS, tokenizer_files};
use crate::model::sentences::Preparation;
use crate::model::source::resolve;
use crate::model::{Head, ModelError, Sentences};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::output::{Network, OnnxModel};
use crate::stages::contract::stage::{External, resolve as place};
use crate::stages::inference::predict;
use crate::stages::inference::texts::{Texts, bounded};

/// What a batch of texts with labels gives.
const INPUTS: [&str; 5] = ["input_ids", MASK, "token_type_ids", "position_ids", LABELS];
const MASK: &str = "attention_mask";

/// Beside artifacts of `pipe`: their classes in the order of the logits, as a JSON list.
const CLASSES: &str = "classes.json";

/// Returns the settings that artifacts decide themselves and that the file must therefore leave
/// alone.
pub fn decided(train: &Train) -> Vec<CheckError> {
    let adamw = |optimizer: &Optimizer| match optimizer {
        Optimizer::Adamw(settings) => {
            let mut settings = settings.clone();
            settings.learning_rate = None;
            Some(settings)
        }
        Optimizer::Sgd(_) => None,
    };
    let said = [
        ("dropout", train.dropout.is_some()),
        ("freeze", train.freeze.is_some()),
        ("adapters", train.adapters.is_some()),
        ("loss", train.loss != Loss::default()),
        ("gradient_clip", train.gradient_clip != default_gradient_clip()),
        ("optimizer", adamw(&train.optimizer) != adamw(&Optimizer::default())),
        ("model.head", train.model.head != Head::default()),
        ("model.from", train.model.from.is_some()),
        ("precision", train.precision != Precision::default()),
        ("max_tokens_per_step", train.max_tokens_per_step.is_some()),
        ("windows", train.windows.is_some()),
        ("reinitialise", train.reinitialise.is_some()),
        ("regularise", train.regularise.is_some()),
        ("average", train.average.is_some()),
    ];
    let mut problems = Vec::new();
    if train.accumulation != 1 {
        problems.push(
            CheckError::new(
                "accumulation",
                "artifacts add gradients up instead of averaging them".to_owned(),
            )
            .hint("leave it out, and set `batch_size` to the examples of a whole step"),
        );
    }
    let decided = said.into_iter().filter(|(_, said)| *said).map(|(field, _)| {
        CheckError::new(field, "the artifacts already fix this setting".to_owned()).hint(
            "leave it out; only epochs, batch size, learning rate, schedule and the settings that \
             use dev apply to artifacts",
        )
    });
    problems.extend(decided);
    problems
}

/// Writes what `pipe` wants to know of artifacts beside them: the classes of their logits, and the
/// texts that the pretrained model has seen.
pub fn write_beside(
    train: &Train,
    base: &Path,
    labels: &[String],
    folder: &Path,
    report: &dyn Report,
) -> Result<(), StageError> {
    let pretrained = resolve::resolve(train.model.name(), base, report)?;
    Seen::read(&pretrained.join(SEEN_TEXTS))?.write(&folder.join(SEEN_TEXTS))?;
    let labels = format!("{:#}\n", serde_json::Value::from(labels));
    Ok(fs_err::write(folder.join(CLASSES), labels).map_err(EngineError::from)?)
}

/// Refuses artifacts that were written for other classes than those of the data.
fn check_classes(name: &str, folder: &Path, data: &DataSet) -> Result<(), StageError> {
    let path = place(folder, name).join(CLASSES);
    if !path.is_file() {
        return Ok(());
    }
    let bytes = fs_err::read(&path).map_err(EngineError::from)?;
    let classes: Vec<String> = serde_json::from_slice(&bytes)
        .map_err(|error| ModelError::Json { path, detail: error.to_string() })?;
    if classes == data.labels() {
        return Ok(());
    }
    let shown = |labels: &[String]| cut(&format!("`{}`", labels.join("`, `")), 200);
    let (artifacts, data) = (shown(&classes), shown(data.labels()));
    Err(Box::new(TrainError::OtherClasses { artifacts, data }))
}

/// Returns the digest of a folder of artifacts.
pub fn external(name: &str, folder: &Path) -> Result<External, StageError> {
    let beside = [CLASSES, SEEN_TEXTS].into_iter();
    let beside = beside.filter(|file| place(folder, name).join(file).is_file());
    let digests = [TRAINING, EVALUATION, OPTIMIZER, CHECKPOINT]
        .into_iter()
        .chain(beside)
        .map(|file| {
            let path = place(folder, name).join(file);
            match memo::digest_of(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let missing = ArtifactsError::Missing { file: path.display().to_string() };
                    Err(Box::new(EngineError::from(missing)) as StageError)
                }
                Err(error) => Err(Box::new(EngineError::from(error)) as StageError),
                Ok(digest) => Ok(digest.to_string()),
            }
        })
        .collect::<Result<String, _>>()?;
    Ok(External { name: name.to_owned(), digest: Digest::of(digests.as_bytes()) })
}

/// Trains the artifacts in a folder.
pub(super) fn run(work: &Work<'_>, name: &str) -> Result<Trained, StageError> {
    let Work { ctx, settings, folder: pretrained, data, .. } = *work;
    let objective = Classification::new(&settings.loss, data, Form::ClassNumbers)?;
    check_classes(name, ctx.folder(), data)?;
    let runtime = ctx.runtime()?;
    let artifacts = Artifacts::read(&place(ctx.folder(), name))?.seeded(ctx.seed())?;
    artifacts.check_inputs(&INPUTS, &[MASK, LABELS])?;
    ctx.note(&format!("the artifacts update with {}", artifacts.describe_optimizer()?));
    let sentences = Sentences::read(pretrained)?;
    let prompt = sentences.prompt(&settings.model.prompt, pretrained)?;
    let encoder = sentences.encoder(pretrained);
    let mut files = tokenizer_files(&encoder)?;
    let path = encoder.join(CONFIG);
    let bytes = fs_err::read(&path).map_err(EngineError::from)?;
    files.insert(CONFIG.to_owned(), bytes.clone());
    let config = serde_json::from_slice(&bytes)
        .map_err(|error| ModelError::Json { path, detail: error.to_string() })?;
    let layout = InputLayout::of_json(&config);
    let texts = Texts {
        preparation: Preparation { prompt, lowers: sentences.lowers(), windows: None },
        tokenizer: predict::tokenizer_of(&files)?,
        longest: bounded(&sentences, settings.max_length, None),
    };
    let beside = Beside::of(&encoder, &sentences);
    texts.warn_of_contradictions(ctx, settings.model.name(), &beside);
    let splits = &data.splits;
    let tokens = Tokens::new(ctx, (&splits.train, &splits.dev), &texts)?;
    let count = |list: &[(String, ArrayD<f32>)]| {
        list.iter().map(|(_, array)| array.len() as u64).sum::<u64>()
    };
    let trainable_parameters = count(&artifacts.checkpoint.trained);
    let parameters = trainable_parameters + count(&artifacts.checkpoint.frozen);
    let output = artifacts.logits().ok_or(EngineError::NoOutput)?;
    let resumes = artifacts.can_resume()?;
    if !resumes {
        ctx.note(
            "no checkpoint can hold the state of these artifacts: after an interruption the \
             training starts again",
        );
    }
    let mut trainer = ApiTrainer::new(runtime, ctx.device(), artifacts)?;
    if let Some(first) = tokens.train.first() {
        let logits = trainer.logits(runtime, predict::feeds(layout, &[first]))?;
        if logits.shape() != [1, objective.outputs()] {
            let found = logits.shape().to_vec();
            let classes = ArtifactsError::Classes { found, data: objective.outputs() };
            return Err(Box::new(EngineError::from(classes)));
        }
    }
    let job = r#loop::Job {
        settings,
        objective: &objective,
        train_tokens: &tokens.train,
        dev_tokens: &tokens.dev,
        combine: None,
        layout,
        learning_rates: vec![settings.optimizer.learning_rate()],
        resumes,
        splits: false,
        state_bytes: 4 * (1 + MOMENTS.len() as u64) * trainable_parameters,
    };
    let fitted = r#loop::run(ctx, runtime, &job, &mut trainer)?;
    let model = trainer.export(runtime, &fitted.trained)?;
    let backend =
        Choice { backend: Chosen::TrainingApi, reason: "trained from artifacts".to_owned() };
    let parameters = (trainable_parameters, parameters);
    let mut summary = encoder::summary(ctx, settings, (&fitted, &backend), parameters);
    summary.initial_weights =
        format!("`{}`: the checkpoint of the artifacts", ctx.secrets().hide(name));
    summary.truncated_share = tokens.truncated_share;
    Ok(Trained {
        network: Network::Onnx(OnnxModel { model, output, layout, files }),
        preparation: texts.preparation,
        longest: texts.longest,
        curves: fitted.curves,
        summary,
        frozen: None,
        adapter: BTreeMap::new(),
    })
}
