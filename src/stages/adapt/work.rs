//! The work of `adapt`: from the texts of a data set to an encoder that has read them.

use super::adapted::AdaptedEncoder;
use super::error::AdaptError;
use crate::data::{DataSet, Seen};
use crate::engine::{EngineError, Place};
use crate::model::input_layout::InputLayout;
use crate::model::masked::MaskedHead;
use crate::model::{Embedder, Head, HeadForm, Network, NetworkOptions, Pooling, Pretrained, init};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::TrainingSummary;
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::texts::Texts;
use crate::stages::train::encoder::{self, Job};
use crate::stages::train::found::Found;
use crate::stages::train::objective::Objective;
use crate::stages::train::objective::adaptation::masked_lm::{Units, units};
use crate::stages::train::objective::adaptation::{
    DeletedTexts, MaskedTexts, MaskedTokens, Simcse, Tsdae,
};
use crate::stages::train::opened;
use crate::stages::train::settings::Settings;
use crate::stages::train::tokens::truncated_share;
use crate::stages::train::vectors::{texts, unlabelled};
use crate::text::{TokenizedText, Words};

/// What an adaptation works on.
pub(super) struct Work<'a> {
    pub ctx: &'a dyn Ctx,
    pub settings: &'a Settings,
    pub found: &'a Found,
    pub data: &'a DataSet,
}

impl Work<'_> {
    /// Lets the encoder tell hidden tokens.
    pub(super) fn masked_lm(&self, settings: &MaskedTokens) -> Result<AdaptedEncoder, StageError> {
        let (mut pretrained, texts) = self.open()?;
        let rows = pretrained.config.vocabulary;
        let mask = texts.tokenizer.mask().filter(|(_, id)| (*id as usize) < rows);
        let (_, mask) = mask.ok_or_else(|| AdaptError::NoMask { model: self.model() })?;
        let (tokens, units) = self.words(&texts, settings.whole_words, "hidden")?;
        let head = MaskedHead::to_train(&pretrained.config, &pretrained.weights)?;
        let options = NetworkOptions::inference(&pretrained.config, Place::Host);
        let network = head.network(&pretrained.config, options, None).map_err(EngineError::from)?;
        let origin = match self.draw(&mut pretrained, &network) {
            0 => "its masked-language-model head is gone on with".to_owned(),
            drawn => format!(
                "a new masked-language-model head, tied to the word table; {drawn} tensors drawn"
            ),
        };
        let vocabulary = (texts.tokenizer.largest_id() + 1).min(rows as u32);
        let objective =
            MaskedTexts { settings, head: &head, tokens: &tokens, units, mask, vocabulary };
        // There is no head over vectors.
        let form = HeadForm::Linear(Embedder::of(Pooling::Mean));
        let told = self.tell(&origin);
        let trained = self.train(&mut pretrained, &form, &objective, &tokens, &texts)?;
        Ok(adapted(pretrained, Some(head), trained, told))
    }

    /// Lets the encoder tell texts apart.
    pub(super) fn simcse(&self, objective: &Simcse) -> Result<AdaptedEncoder, StageError> {
        let (mut pretrained, texts) = self.open()?;
        let config = &pretrained.config;
        if [config.hidden_dropout, config.attention_dropout].iter().all(|rate| *rate == 0.0) {
            return Err(Box::new(AdaptError::NoDropout));
        }
        let embedder = pretrained.embedder(self.settings.model.head)?.normalised();
        let tokens = texts.encode(&self.texts())?;
        self.check_count(tokens.len(), 2)?;
        pretrained.sentences.stand_over(&embedder, texts.longest);
        let told = self.tell(&format!("vectors by {embedder}"));
        let named = (self.settings.model.head != Head::Auto).then(|| embedder.clone());
        let form = HeadForm::Linear(embedder);
        let trained = self.train(&mut pretrained, &form, objective, &tokens, &texts)?;
        Ok(AdaptedEncoder { embedder: named, ..adapted(pretrained, None, trained, told) })
    }

    /// Lets the vector of some of a text's words tell the text.
    pub(super) fn tsdae(&self, settings: &Tsdae) -> Result<AdaptedEncoder, StageError> {
        let (mut pretrained, texts) = self.open()?;
        if !pretrained.config.encoder.decodes {
            return Err(Box::new(AdaptError::NoDecoder { model: self.model() }));
        }
        let embedder = pretrained.embedder(self.settings.model.head)?;
        let (tokens, units) = self.words(&texts, true, "deleted")?;
        let head = MaskedHead::to_train(&pretrained.config, &pretrained.weights)?;
        let options = NetworkOptions::inference(&pretrained.config, Place::Host);
        // A vector of length 1 tells less.
        let learnt = embedder.clone().of_any_length();
        let config = &pretrained.config;
        let decoder = head.decoder(config, &learnt, options, None).map_err(EngineError::from)?;
        let drawn = self.draw(&mut pretrained, &decoder);
        let objective = DeletedTexts {
            settings,
            head: &head,
            tokens: &tokens,
            units,
            vocabulary: pretrained.config.vocabulary,
            padding_id: InputLayout::of(&pretrained.config).padding_id,
        };
        pretrained.sentences.stand_over(&embedder, texts.longest);
        let told = self.tell(&format!(
            "vectors by {learnt}, told by a decoder of the same layers; {drawn} tensors drawn"
        ));
        let named = (self.settings.model.head != Head::Auto).then(|| embedder.clone());
        let form = HeadForm::Linear(learnt);
        let trained = self.train(&mut pretrained, &form, &objective, &tokens, &texts)?;
        Ok(AdaptedEncoder { embedder: named, ..adapted(pretrained, None, trained, told) })
    }

    /// Draws what a network has and the folder has not, and returns the number of tensors.
    fn draw(&self, pretrained: &mut Pretrained, network: &Network) -> usize {
        let (config, weights) = (&pretrained.config, &pretrained.weights);
        let is_there = |name: &str, shape: &[usize]| weights.shape(name) == Some(shape);
        let drawn = init::missing(&network.graph, config, is_there, self.ctx.seed());
        let count = drawn.len();
        pretrained.weights.extend(drawn);
        count
    }

    /// Reads the encoder, and says which texts it learns from.
    fn open(&self) -> Result<(Pretrained, Texts), StageError> {
        let Work { ctx, settings, found, data } = *self;
        let mut pretrained = opened::read_with_all_heads(settings, &found.folder)?;
        let of_modules = settings.model.head == Head::Auto;
        let prompt = pretrained.prompt(&settings.model.prompt, of_modules, &found.folder)?;
        pretrained.sentences.set_prompt(prompt.as_deref());
        let texts = Texts::of(&pretrained, prompt, settings.max_length, None)?;
        let model = self.model();
        texts.warn_of_contradictions(ctx, &model, &pretrained.beside);
        ctx.note(&format!(
            "`{model}` reads {} train texts, without their labels, and {} texts without labels",
            data.splits.train.len(),
            data.unlabelled.len()
        ));
        Ok((pretrained, texts))
    }

    /// Returns the texts that are learnt from.
    fn texts(&self) -> Vec<&str> {
        [texts(&self.data.splits.train), unlabelled(&self.data.unlabelled)].concat()
    }

    /// Returns the tokens of the texts, and the places of each that become something together:
    /// those of a word where `whole` words are asked for. Texts without any are left out.
    fn words(
        &self,
        prepared: &Texts,
        whole: bool,
        become_what: &str,
    ) -> Result<(Vec<TokenizedText>, Vec<Units>), StageError> {
        let all = prepared.encode_words(&self.texts())?;
        let count = all.len();
        let has_word = |words: &Words| words.iter().any(Option::is_some);
        let kept = all.into_iter().filter(|(_, words)| has_word(words));
        let (tokens, words): (Vec<_>, Vec<Words>) = kept.unzip();
        self.check_count(tokens.len(), 1)?;
        if tokens.len() < count {
            let left = count - tokens.len();
            self.ctx.note(&format!(
                "{left} of {count} texts have no token that could be {become_what}"
            ));
        }
        let is_told = |words: &Words| {
            let mut known = words.iter().flatten();
            let first = known.next();
            known.any(|word| Some(word) != first)
        };
        let are_told = words.iter().any(is_told);
        if whole && !are_told {
            self.ctx.warn(&format!(
                "the tokenizer does not tell words apart: single tokens are {become_what}"
            ));
        }
        let units = words.iter().map(|words| units(words, whole && are_told)).collect();
        Ok((tokens, units))
    }

    fn check_count(&self, count: usize, least: usize) -> Result<(), StageError> {
        match count < least {
            true => Err(Box::new(AdaptError::FewTexts { count, least })),
            false => Ok(()),
        }
    }

    /// Trains the encoder, whose weights change.
    fn train(
        &self,
        pretrained: &mut Pretrained,
        form: &HeadForm,
        objective: &dyn Objective,
        tokens: &[TokenizedText],
        prepared: &Texts,
    ) -> Result<(encoder::Trained, TrainingSummary), StageError> {
        let Work { ctx, settings, .. } = *self;
        let truncated_share = truncated_share(ctx, tokens, prepared.longest);
        let weights = pretrained.weights.take()?;
        let job = Job {
            settings,
            device: ctx.device(),
            config: &pretrained.config,
            form,
            objective,
            train_tokens: tokens,
            dev_tokens: &[],
        };
        let mut trained = encoder::run(ctx, ctx.runtime()?, &job, weights)?;
        let summary = TrainingSummary { truncated_share, ..trained.summary(ctx, settings) };
        pretrained.weights = std::mem::take(&mut trained.weights).into();
        Ok((trained, summary))
    }

    fn model(&self) -> String {
        self.ctx.secrets().hide(self.settings.model.name()).into_owned()
    }

    /// Says where the weights are from, and returns it.
    fn tell(&self, origin: &str) -> String {
        let told = format!("`{}`: {origin}", self.model());
        self.ctx.note(&told);
        told
    }
}

/// Returns the encoder with what it took; the texts that it has read are added by the stage.
fn adapted(
    pretrained: Pretrained,
    masked: Option<MaskedHead>,
    (trained, summary): (encoder::Trained, TrainingSummary),
    initial_weights: String,
) -> AdaptedEncoder {
    AdaptedEncoder {
        pretrained,
        masked,
        embedder: None,
        summary: TrainingSummary { initial_weights, ..summary },
        curves: trained.fitted.curves,
        seen: Seen::default(),
        learnt: Seen::default(),
    }
}
