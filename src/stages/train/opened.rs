//! A pretrained encoder that is about to be trained, with all that is said of it.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::error::TrainError;
use super::freeze::Freeze;
use super::method::contract::{Trained, Work};
use super::objective::Mixup;
use super::settings::Settings;
use crate::base::digest::Digest;
use crate::data::Curves;
use crate::engine::{EngineError, ShapeError};
use crate::model::initial_weights::{HeadOrigin, InitialWeights};
use crate::model::network::{self, CLASSIFIER_WEIGHT};
use crate::model::{Embedder, Head, HeadForm, Pretrained};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Network, TrainingSummary};
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::kept::kept;
use crate::stages::inference::texts::{Texts, shown};
use crate::stages::inference::vector_head::VectorHead;
use crate::stages::inference::vectors::Reading;
use crate::text::Combine;

/// What a network that is trained ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A head for the classes of the data.
    Head,
    /// The unit vectors of texts, to which a head is fitted.
    Vectors,
}

/// A pretrained encoder that is about to be trained.
pub(super) struct Opened {
    /// With the weights of the whole network.
    pub pretrained: Pretrained,
    pub form: HeadForm,
    pub texts: Texts,
    /// Where the weights are from, for people.
    pub told: String,
}

impl Opened {
    /// Reads the encoder of a training, and tells where its weights are from.
    pub(super) fn new(work: &Work<'_>, ending: Ending) -> Result<Opened, StageError> {
        let Work { ctx, settings, folder, data, .. } = *work;
        let (reference, head) = (settings.model.name(), settings.model.head);
        let combine = settings.windows.map(|windows| windows.combine);
        if ending == Ending::Vectors && combine == Some(Combine::Max) {
            return Err(Box::new(TrainError::LargestOfVectors));
        }
        let mut pretrained = read(settings, folder)?;
        let form = match ending {
            Ending::Head => pretrained.form(head)?,
            Ending::Vectors => HeadForm::Linear(pretrained.embedder(head)?.normalised()),
        };
        if let Some(count) = settings.reinitialise {
            forget(&mut pretrained, count, &form, data.labels().len())?;
        }
        let InitialWeights { weights, form, mut origin } =
            pretrained.take_initial_weights(form, data.labels(), ctx.seed())?;
        if ending == Ending::Vectors {
            origin.head = HeadOrigin::Fitted;
            origin.drawn.clear();
        }
        let of_modules = form.embedder().is_some() && head == Head::Auto;
        let prompt = pretrained.prompt(&settings.model.prompt, of_modules, folder)?;
        pretrained.sentences.set_prompt(prompt.as_deref());
        let texts = Texts::of(&pretrained, prompt, settings.max_length, settings.windows)?;
        if let Some(embedder) = form.embedder() {
            pretrained.sentences.stand_over(embedder, texts.longest);
        }
        let of_modules = of_modules.then_some(&form);
        let told = told(ctx, reference, &origin.to_string(), (of_modules, &texts));
        ctx.note(&told);
        texts.warn_of_contradictions(ctx, reference, &pretrained.beside);
        pretrained.weights = weights;
        Ok(Opened { pretrained, form, texts, told })
    }

    /// Returns E, the width of the vectors of texts under a head.
    pub(super) fn width(&self) -> Result<usize, EngineError> {
        Ok(embedder(&self.form)?.width(self.pretrained.config.hidden))
    }

    /// Puts a fitted head over the vectors.
    ///
    /// # Errors
    ///
    /// Fails where the encoder has a head of its own.
    pub(super) fn put_on(&mut self, head: &VectorHead) -> Result<(), EngineError> {
        self.form = head.form(embedder(&self.form)?.clone());
        let weights = &mut self.pretrained.weights;
        // What was drawn for a linear head would stay beside another.
        weights.split_off(|name| name == CLASSIFIER_WEIGHT);
        weights.extend(head.weights());
        Ok(())
    }

    /// Returns texts for reading them with the weights as they are now.
    pub(super) fn reading<'a>(&'a self, texts: &'a [&'a str]) -> Result<Reading<'a>, EngineError> {
        let (pretrained, prepared) = (&self.pretrained, &self.texts);
        Ok(Reading { pretrained, embedder: embedder(&self.form)?, prepared, texts })
    }

    /// Returns the vectors of texts by the encoder as it was read: those that are known, or what
    /// all stages share.
    pub(super) fn shared(
        &self,
        work: &Work<'_>,
        texts: &[&str],
    ) -> Result<Array2<f32>, StageError> {
        match work.known.and_then(|known| known.of(texts)) {
            Some(vectors) => Ok(vectors),
            None => self.reading(texts)?.shared(work.ctx, work.identity),
        }
    }

    /// Takes the encoder's weights, which stay as they were read, from where all models over them
    /// have them.
    ///
    /// # Errors
    ///
    /// Fails as [`kept`] does.
    pub(super) fn keep_encoder(&mut self, work: &Work<'_>) -> Result<(), StageError> {
        let weights = &mut self.pretrained.weights;
        let dense = self.pretrained.sentences.dense();
        let beside = weights.split_off(|name| {
            let of_dense = dense.iter().any(|it| it.parameters().iter().any(|own| own.0 == name));
            of_dense || network::is_vector_head(name)
        });
        *weights = kept(work.ctx, weights, work.identity)?;
        weights.append(beside);
        Ok(())
    }

    /// Returns the model that the encoder has become.
    pub(super) fn into_trained(
        self,
        curves: Curves,
        summary: TrainingSummary,
        frozen: Option<Digest>,
        adapter: BTreeMap<String, Vec<u8>>,
    ) -> Trained {
        let Opened { pretrained, form, texts, told } = self;
        Trained {
            network: Network::Encoder { pretrained: Box::new(pretrained), form },
            preparation: texts.preparation,
            longest: texts.longest,
            curves,
            summary: TrainingSummary { initial_weights: told, ..summary },
            frozen,
            adapter,
        }
    }
}

fn embedder(form: &HeadForm) -> Result<&Embedder, EngineError> {
    let none = || ShapeError("an architecture's own head has no vectors".into());
    Ok(form.embedder().ok_or_else(none)?)
}

/// Lets the top layers and what stands on them begin anew.
pub(super) fn forget(
    pretrained: &mut Pretrained,
    count: usize,
    form: &HeadForm,
    classes: usize,
) -> Result<(), StageError> {
    let layers = pretrained.config.layers;
    if count > layers {
        return Err(Box::new(TrainError::TooManyNewLayers { asked: count, found: layers }));
    }
    if pretrained.sentences.above.is_some() {
        return Err(Box::new(TrainError::ForgottenSentences));
    }
    if !pretrained.forget_top_layers(count, form, classes).map_err(EngineError::from)? {
        return Err(Box::new(TrainError::SharedLayers));
    }
    Ok(())
}

fn told(
    ctx: &dyn Ctx,
    reference: &str,
    origin: &str,
    (form, texts): (Option<&HeadForm>, &Texts),
) -> String {
    let mut told = format!("`{}`: {origin}", ctx.secrets().hide(reference));
    if let Some(embedder) = form.and_then(HeadForm::embedder) {
        told.push_str(&format!("; head over {embedder}"));
    }
    if let Some(prompt) = &texts.preparation.prompt {
        told.push_str(&format!("; prompt {}", ctx.secrets().hide(&shown(prompt))));
    }
    told
}

/// Reads the encoder in a folder with the recipe's dropout.
pub(super) fn read(
    settings: &Settings,
    folder: &std::path::Path,
) -> Result<Pretrained, StageError> {
    with_settings(settings, Pretrained::read(folder)?)
}

/// Reads the same with all the heads that the folder may have.
pub(in crate::stages) fn read_with_all_heads(
    settings: &Settings,
    folder: &std::path::Path,
) -> Result<Pretrained, StageError> {
    with_settings(settings, Pretrained::read_with_all_heads(folder)?)
}

fn with_settings(
    settings: &Settings,
    mut pretrained: Pretrained,
) -> Result<Pretrained, StageError> {
    let config = &mut pretrained.config;
    if let Some(Freeze::AllButTopLayers(asked)) = settings.freeze
        && asked > config.layers
    {
        return Err(Box::new(TrainError::TooManyLayers { asked, found: config.layers }));
    }
    let layers = settings.loss.mixup.as_ref().map_or(&[][..], Mixup::layers);
    if let Some(&asked) = layers.iter().find(|count| **count > config.layers) {
        return Err(Box::new(TrainError::MixedAbove { asked, found: config.layers }));
    }
    if let Some(rate) = settings.dropout {
        (config.hidden_dropout, config.attention_dropout, config.classifier_dropout) =
            (rate, rate, rate);
    }
    Ok(pretrained)
}
