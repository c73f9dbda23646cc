//! The denoising auto-encoder TSDAE (Wang et al. 2021): the vector of a text from which words were
//! deleted has to tell the whole text.

use std::borrow::Cow;
use std::sync::Arc;

use rand::RngExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::masked_lm::{Told, Units, inputs, loss};
use crate::base::seed::stream;
use crate::engine::backend::binding::{Feed, packing_of};
use crate::engine::{ShapeError, Var};
use crate::model::masked::MaskedHead;
use crate::model::{
    Adapts, Config, DECODED, DECODED_MASK, DECODED_ROWS, HeadForm, Network, NetworkOptions,
};
use crate::stages::train::objective::contract::{MicroBatch, Objective};
use crate::stages::train::problems::Problems;
use crate::text::{TokenizedText, batch};

/// Deletes words of a text, and lets a decoder tell the whole text from its vector (Wang et al.
/// 2021). The decoder has the encoder's own layers and word table, and attends to the vector alone;
/// what it has beside them is left out once the training ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tsdae {
    /// The probability with which each word is deleted, above 0 and below 1. One stays. Where the
    /// tokenizer does not tell words apart, tokens are deleted.
    #[serde(default = "default_deletion")]
    pub deletion: f64,
}

impl Default for Tsdae {
    fn default() -> Tsdae {
        Tsdae { deletion: default_deletion() }
    }
}

fn default_deletion() -> f64 {
    0.6
}

impl Tsdae {
    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, at: &str, problems: &mut Problems) {
        let deletion = self.deletion;
        if !(deletion > 0.0 && deletion < 1.0) {
            problems.add(
                &format!("{at}.deletion"),
                format!("expected a probability above 0 and below 1, found {deletion}"),
                "0.6 is usual",
            );
        }
    }
}

/// Texts whose words are deleted, and the decoder that tells them.
pub struct DeletedTexts<'a> {
    pub settings: &'a Tsdae,
    pub head: &'a MaskedHead,
    pub tokens: &'a [TokenizedText],
    /// The places of the tokens of each text that are deleted together.
    pub units: Vec<Units>,
    /// V, the number of words that may be told.
    pub vocabulary: usize,
    /// What stands behind the shorter texts.
    pub padding_id: u32,
}

impl DeletedTexts<'_> {
    /// Draws which units of a text stay.
    fn draw(&self, text: usize, batch_key: u64) -> Vec<bool> {
        let mut random = stream(batch_key, &["adapt", "deletions"], text as u64);
        let units = self.units[text].len();
        let mut stay: Vec<bool> =
            (0..units).map(|_| random.random::<f64>() >= self.settings.deletion).collect();
        if units > 0 && !stay.contains(&true) {
            stay[random.random_range(0..units)] = true;
        }
        stay
    }
}

/// Returns the tokens that tell a text: all but the first, each by the one before it.
pub(super) fn told(text: usize, tokens: &TokenizedText) -> impl Iterator<Item = Told> {
    (1..tokens.ids.len()).map(move |place| Told { text, place, by: place - 1 })
}

/// Returns the decoder's own inputs for the texts of a micro-batch.
pub(super) fn decoded(texts: &[&TokenizedText], padding_id: u32) -> Vec<(String, Feed)> {
    let batch = batch::pad(texts, padding_id);
    let shape = vec![batch.size, batch.length];
    let packing = packing_of(&batch.mask, &DECODED_ROWS);
    let mut feeds = vec![
        (DECODED.to_owned(), Feed::I64(shape.clone(), batch.ids)),
        (DECODED_MASK.to_owned(), Feed::I64(shape, batch.mask)),
    ];
    feeds.extend(packing);
    feeds
}

impl Objective for DeletedTexts<'_> {
    type Settings = Tsdae;

    fn outputs(&self) -> usize {
        self.vocabulary
    }

    fn reads_vocabulary(&self) -> bool {
        true
    }

    fn read<'a>(
        &self,
        micro_batch: &MicroBatch<'_>,
        text: usize,
        tokens: &'a TokenizedText,
    ) -> Cow<'a, TokenizedText> {
        let stay = self.draw(text, micro_batch.batch_key);
        let mut kept = vec![true; tokens.ids.len()];
        for (unit, stays) in self.units[text].iter().zip(stay) {
            unit.iter().for_each(|&place| kept[place] = stays);
        }
        let ids = tokens.ids.iter().zip(kept).filter_map(|(&id, stays)| stays.then_some(id));
        Cow::Owned(TokenizedText { ids: ids.collect(), ..TokenizedText::default() })
    }

    fn network(
        &self,
        config: &Config,
        form: &HeadForm,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        let none = || ShapeError("a head has no vectors".to_owned());
        self.head.decoder(config, form.embedder().ok_or_else(none)?, options, adapter)
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        loss(network)
    }

    /// Every token of a batch counts the same.
    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let &MicroBatch { members, batch, batches, .. } = micro_batch;
        let count = |text: &usize| self.tokens[*text].ids.len().saturating_sub(1);
        let all: usize = batch.iter().map(count).sum();
        let share = 1.0 / (all.max(1) * batches) as f32;
        let texts: Vec<&TokenizedText> = members.iter().map(|&text| &self.tokens[text]).collect();
        let told = texts.iter().enumerate().flat_map(|(row, tokens)| told(row, tokens));
        let mut feeds = inputs(&texts, told, share);
        feeds.extend(decoded(&texts, self.padding_id));
        feeds
    }
}
