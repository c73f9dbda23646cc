//! Words from a masked language model.

use std::borrow::Cow;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::model::Pretrained;
use crate::model::source::resolve;
use crate::stages::augment::error::AugmentError;
use crate::stages::augment::language::stop_words::{StopWordList, StopWords};
use crate::stages::augment::language::weighted::{cumulative, draw};
use crate::stages::augment::language::words::Words;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, Originals, Request, changes, check_rate, default_encoder,
    settings,
};
use crate::stages::augment::synonyms::whole_words;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};
use crate::stages::inference::frozen::MaskedModel;
use crate::stages::inference::texts::warn_of_contradictions;
use crate::text::TokenizedText;

settings! {
    /// Replaces or inserts words by a masked language model's predictions at their place.
    ///
    /// In a text of l words, n = max(1, ⌊rate·l⌋) words that are not stop words are masked at once.
    /// Each mask becomes one of the `top_k` likeliest whole words, drawn by their probabilities,
    /// but never the original word. `insert` puts masks before the words instead of over them.
    ///
    /// The model is an encoder with its masked-language-model head. A folder without this head
    /// (such as a sentence encoder) was not trained with masks. Its words stay visible, and the
    /// product of their states and the word embeddings ranks the candidates.
    pub struct MaskedLm {
        /// The model: a folder (relative to this file), `pip:NAME[==VERSION]` or
        /// `hf:ORG/NAME[@REVISION]`.
        #[serde(default = "default_encoder")]
        pub pretrained: String,
        /// Whether words are replaced or inserted.
        #[serde(default)]
        pub action: Action,
        /// The share of the words to replace or insert, above 0 and at most 1.
        #[serde(default = "default_rate")]
        pub rate: f64,
        /// The number of likeliest words to draw from.
        #[serde(default = "default_top_k")]
        pub top_k: usize,
        /// Words that stay unchanged.
        #[serde(default)]
        pub stop_words: StopWords,
    }
}

/// Whether words are replaced or inserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    #[default]
    Replace,
    Insert,
}

fn default_rate() -> f64 {
    0.15
}

fn default_top_k() -> usize {
    10
}

impl Method for MaskedLm {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors =
            check_rate("rate", self.rate, "0.15 masks one word in texts of up to 13 words");
        if self.top_k == 0 {
            errors.push(CheckError::new("top_k", "`top_k` is 0; expected at least 1"));
        }
        errors.extend(CheckError::of_reference("pretrained", &self.pretrained));
        errors.extend(self.stop_words.check());
        errors
    }

    fn uses_runtime(&self) -> bool {
        true
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let model = External::model(&self.pretrained, folder, fetch)?;
        Ok([vec![model], self.stop_words.externals(folder)?].concat())
    }

    fn fit(
        &self,
        ctx: &dyn Ctx,
        _: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        let folder = resolve::resolve(&self.pretrained, ctx.folder(), ctx)?;
        let pretrained = Pretrained::read_with_masked_head(&folder)?;
        let no_masks = |reason: &str| AugmentError::NoMasks {
            pretrained: self.pretrained.clone(),
            reason: reason.to_owned(),
        };
        let vocabulary = pretrained.files.get("tokenizer.json").map_or(&[][..], Vec::as_slice);
        let words = whole_words(vocabulary).map_err(|reason| no_masks(&reason))?;
        let rows = pretrained.config.vocabulary;
        let words = words.into_iter().map(|(lower, (spelling, row))| Word { lower, spelling, row });
        let words: Vec<Word> = words.filter(|word| word.row < rows).collect();
        let model = MaskedModel::new(ctx, &pretrained)?;
        // The texts' length is theirs, so no setting of it is contradicted.
        let (reference, tokenizer) = (&self.pretrained, &model.tokenizer);
        warn_of_contradictions(ctx, reference, &pretrained.beside, tokenizer, 0);
        if !model.has_trained_head() {
            ctx.note(&format!(
                "`{}` has no masked-language-model head; its word embeddings are used instead",
                self.pretrained
            ));
        }
        let mask = model.tokenizer.mask().filter(|(_, id)| (*id as usize) < rows);
        let mask =
            mask.ok_or_else(|| no_masks("its vocabulary has neither `[MASK]` nor `<mask>`"))?;
        let stop_words = self.stop_words.list(ctx.folder())?;
        Ok(Box::new(Filler {
            model,
            mask,
            words,
            stop_words,
            action: self.action,
            rate: self.rate,
            top_k: self.top_k,
        }))
    }
}

/// A whole word of the model's vocabulary.
struct Word {
    lower: String,
    spelling: String,
    row: usize,
}

/// A loaded masked language model.
struct Filler {
    model: MaskedModel,
    /// The mask token and its id.
    mask: (&'static str, u32),
    words: Vec<Word>,
    stop_words: StopWordList,
    action: Action,
    rate: f64,
    top_k: usize,
}

/// Words of a text that the model predicts.
struct Question {
    /// The places of the words, ascending.
    places: Vec<usize>,
    /// The words at these places, in lower case.
    before: Vec<String>,
}

impl Generator for Filler {
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let questions: Vec<Option<Question>> =
            requests.iter_mut().map(|request| self.question(request)).collect();
        let asked: Vec<(usize, &Question)> = questions
            .iter()
            .enumerate()
            .filter_map(|(index, question)| Some((index, question.as_ref()?)))
            .collect();
        let texts: Vec<(&str, &Question)> = asked
            .iter()
            .map(|&(index, question)| (requests[index].text.as_ref(), question))
            .collect();
        let (tokens, places) = self.tokens(&texts)?;
        let mut chosen: Vec<Vec<Option<&str>>> = questions
            .iter()
            .map(|question| vec![None; question.as_ref().map_or(0, |q| q.places.len())])
            .collect();
        self.model.predict(ctx, &tokens, &places, &mut |text, nth, logits| {
            let (index, question) = asked[text];
            if let (Some(word), Some(before)) =
                (chosen[index].get_mut(nth), question.before.get(nth))
            {
                *word = self.choose(logits, before, &mut requests[index].random());
            }
        })?;
        let fill = |(request, (question, chosen)): (
            &&mut Request<'_>,
            (&Option<Question>, Vec<Option<&str>>),
        )| {
            let mut words = Words::of(&request.text);
            // From the end, so that insertions do not move the places before.
            let found = question
                .as_ref()?
                .places
                .iter()
                .zip(&chosen)
                .rev()
                .filter_map(|(place, word)| Some((*place, (*word)?)));
            for (place, word) in found {
                match self.action {
                    Action::Replace => words.replace(place, word),
                    Action::Insert => words.insert(place, Cow::Borrowed(word)),
                }
            }
            chosen.iter().any(Option::is_some).then(|| Generated::of(words.text()))
        };
        Ok(requests.iter().zip(questions.iter().zip(chosen)).map(fill).collect())
    }
}

impl Filler {
    fn question(&self, request: &mut Request<'_>) -> Option<Question> {
        // A text that contains the mask token itself would have more masks than were inserted.
        if request.text.contains(self.mask.0) {
            return None;
        }
        let mut random = request.random();
        let words = Words::of(&request.text);
        let content = words.content(|word| self.stop_words.contains(word));
        if content.is_empty() {
            return None;
        }
        let n = changes(self.rate, words.len()).min(content.len());
        let mut slots = rand::seq::index::sample(&mut random, content.len(), n).into_vec();
        slots.sort_unstable();
        let (places, before) = slots.into_iter().map(|slot| content[slot].clone()).unzip();
        Some(Question { places, before })
    }

    /// Returns the text for the model, and the tokens to predict.
    fn tokens(
        &self,
        texts: &[(&str, &Question)],
    ) -> Result<(Vec<TokenizedText>, Vec<Vec<usize>>), StageError> {
        if self.model.has_trained_head() {
            let masked: Vec<String> =
                texts.iter().map(|(text, question)| self.masked(text, &question.places)).collect();
            let tokens =
                self.model.tokenize(&masked.iter().map(String::as_str).collect::<Vec<_>>())?;
            let is_mask = |(at, id): (usize, &u32)| (*id == self.mask.1).then_some(at);
            let places = tokens
                .iter()
                .map(|tokens| tokens.ids.iter().enumerate().filter_map(is_mask).collect());
            let places = places.collect();
            return Ok((tokens, places));
        }
        let places: Result<Vec<Vec<usize>>, StageError> = texts
            .iter()
            .map(|(text, question)| {
                let words = Words::of(text);
                let starts: Vec<usize> =
                    question.places.iter().map(|&place| words.start_of_bare(place)).collect();
                let tokens = self.model.tokenizer.tokens_at(text, &starts)?;
                // Places beyond the last token are skipped.
                Ok(tokens.into_iter().map(|token| token.unwrap_or(usize::MAX)).collect())
            })
            .collect();
        Ok((
            self.model.tokenize(&texts.iter().map(|(text, _)| *text).collect::<Vec<_>>())?,
            places?,
        ))
    }

    /// Puts masks over words, or before them.
    fn masked(&self, text: &str, places: &[usize]) -> String {
        let mut words = Words::of(text);
        for &place in places.iter().rev() {
            match self.action {
                Action::Replace => words.put(place, self.mask.0),
                Action::Insert => words.insert(place, Cow::Borrowed(self.mask.0)),
            }
        }
        words.text()
    }

    /// Draws one of the likeliest words, except the original one.
    fn choose(
        &self,
        logits: &[f32],
        before: &str,
        random: &mut rand_chacha::ChaCha8Rng,
    ) -> Option<&str> {
        let mut likeliest: Vec<(f32, usize)> = (0..self.words.len())
            .filter(|&index| self.words[index].lower != before)
            .map(|index| (logits[self.words[index].row], index))
            .collect();
        let likelier = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if likeliest.len() > self.top_k {
            likeliest.select_nth_unstable_by(self.top_k, likelier);
            likeliest.truncate(self.top_k);
        }
        likeliest.sort_by(likelier);
        let highest = likeliest.first()?.0;
        let weights =
            cumulative(likeliest.iter().map(|(logit, _)| f64::from(logit - highest).exp()));
        Some(&self.words[likeliest[draw(&weights, random)].1].spelling)
    }
}
