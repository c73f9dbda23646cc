//! What is done to texts on their way to a model.

use std::sync::Arc;

use super::predict::{longest, tokenizer};
use crate::base::cut::cut;
use crate::model::beside::Beside;
use crate::model::sentences::{Preparation, Sentences};
use crate::model::{Config, Pretrained};
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;
use crate::text::{TokenizedText, Tokenizer, Windows, Words};

/// The tokens of a text where neither the pipeline file nor the folder says anything.
const DEFAULT_LENGTH: usize = 128;
/// The most tokens that a folder's own bound gives: what costs more has to be asked for.
const LONGEST_DEFAULT: usize = 512;

/// The way from texts to tokens.
pub struct Texts {
    pub preparation: Preparation,
    pub tokenizer: Arc<Tokenizer>,
    /// The longest input in tokens.
    pub longest: usize,
}

impl Texts {
    /// Returns the way to a model's tokens. Without `max_length`, the folder's own bound holds.
    pub fn of(
        pretrained: &Pretrained,
        prompt: Option<String>,
        max_length: Option<usize>,
        windows: Option<Windows>,
    ) -> Result<Texts, StageError> {
        Ok(Texts {
            preparation: Preparation { prompt, lowers: pretrained.sentences.lowers(), windows },
            tokenizer: tokenizer(pretrained)?,
            longest: bounded(&pretrained.sentences, max_length, Some(&pretrained.config)),
        })
    }

    /// Warns of each setting in a model's folder that is not followed.
    pub fn warn_of_contradictions(&self, ctx: &dyn Ctx, reference: &str, beside: &Beside) {
        warn_of_contradictions(ctx, reference, beside, &self.tokenizer, self.longest);
    }

    /// Tokenizes texts, in their order.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<TokenizedText>, StageError> {
        self.prepared(texts, |texts| {
            Ok(self.tokenizer.encode_windows(texts, self.longest, self.preparation.windows)?)
        })
    }

    /// Tokenizes texts without windows, in their order, each with the words of its tokens.
    pub fn encode_words(&self, texts: &[&str]) -> Result<Vec<(TokenizedText, Words)>, StageError> {
        self.prepared(texts, |texts| Ok(self.tokenizer.encode_words(texts, self.longest)?))
    }

    /// Gives texts as they are tokenized.
    fn prepared<T>(
        &self,
        texts: &[&str],
        encode: impl FnOnce(&[&str]) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let Preparation { prompt, lowers, .. } = &self.preparation;
        // Where case is folded anyway, the signs of special tokens in texts keep theirs.
        let lowers = *lowers && !self.tokenizer.folds_case();
        if prompt.is_none() && !lowers {
            return encode(texts);
        }
        let prepare = |text: &&str| {
            let whole = format!("{}{text}", prompt.as_deref().unwrap_or_default());
            // Sign by sign, as tokenizers do it.
            if lowers { whole.chars().flat_map(char::to_lowercase).collect() } else { whole }
        };
        let prepared: Vec<String> = texts.iter().map(prepare).collect();
        let prepared: Vec<&str> = prepared.iter().map(String::as_str).collect();
        encode(&prepared)
    }
}

/// Returns how many tokens a text may have: `max_length` where it is set, else the bound of a
/// folder of sentence-transformers (up to 512) or 128, and no more than the position table of the
/// model, where that is known.
pub fn bounded(sentences: &Sentences, max_length: Option<usize>, config: Option<&Config>) -> usize {
    let own = sentences.max_seq_length().filter(|_| sentences.above.is_some());
    let usual = || own.map_or(DEFAULT_LENGTH, |most| most.min(LONGEST_DEFAULT));
    let most = max_length.unwrap_or_else(usual);
    config.map_or(most, |config| longest(config, most))
}

/// Warns of each setting in a model's folder that is not followed, where texts may have `longest`
/// tokens.
pub fn warn_of_contradictions(
    ctx: &dyn Ctx,
    reference: &str,
    beside: &Beside,
    tokenizer: &Tokenizer,
    longest: usize,
) {
    for remark in tokenizer.remarks(longest).into_iter().chain(beside.remarks(longest)) {
        ctx.warn(&format!("`{reference}`: {remark}"));
    }
}

/// Returns a prompt as a message shows it.
pub fn shown(prompt: &str) -> String {
    format!("`{}`", cut(prompt, 60))
}
