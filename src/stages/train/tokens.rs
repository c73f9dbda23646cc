//! The tokens that a training reads.

use crate::data::Example;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;
use crate::stages::inference::texts::Texts;
use crate::text::{TokenizedText, windows};

/// The tokens of a data set that training reads.
pub(super) struct Tokens {
    pub train: Vec<TokenizedText>,
    pub dev: Vec<TokenizedText>,
    pub truncated_share: f64,
}

impl Tokens {
    /// Tokenizes the texts of train and those of dev that are looked at, and says how many of train
    /// are too long.
    pub(super) fn new(
        ctx: &dyn Ctx,
        (train, dev): (&[Example], &[Example]),
        texts: &Texts,
    ) -> Result<Tokens, StageError> {
        let encode = |examples: &[Example]| {
            let own: Vec<&str> =
                examples.iter().map(|example| example.text.first.as_str()).collect();
            texts.encode(&own)
        };
        let (train, dev) = (encode(train)?, encode(dev)?);
        let truncated_share = truncated_share(ctx, &train, texts.longest);
        if let Some(told) = windows::told(&train, texts.longest) {
            ctx.note(&format!("of the train split, {told}"));
        }
        Ok(Tokens { train, dev, truncated_share })
    }
}

/// Returns the share of train texts that are truncated, and tells it.
pub(in crate::stages) fn truncated_share(
    ctx: &dyn Ctx,
    train: &[TokenizedText],
    longest: usize,
) -> f64 {
    let (cut, all) = (train.iter().filter(|text| text.truncated).count(), train.len());
    if cut > 0 {
        ctx.note(&format!("{cut} of {all} train texts are truncated to {longest} tokens"));
    }
    cut as f64 / all.max(1) as f64
}
