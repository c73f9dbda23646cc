//! Masked language modelling (Devlin et al. 2019): some tokens are hidden, and the network says
//! which they were.
//!
//! Dimensions: `M` tokens of a micro-batch that are told, `V` words of the vocabulary.

use std::borrow::Cow;
use std::sync::Arc;

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::graph::graph::Constant;
use crate::engine::{DType, Dim, ShapeError, TensorFact, Var};
use crate::model::masked::{MaskedHead, ROWS};
use crate::model::{Adapts, Config, HeadForm, Network, NetworkOptions};
use crate::stages::train::objective::contract::{MicroBatch, Objective};
use crate::stages::train::problems::Problems;
use crate::text::{TokenizedText, Words};

/// The input i64 `[M, 1]` with the tokens that are told.
const TOLD: &str = "told_tokens";
/// The input f32 `[M, 1]` with what each counts.
const SHARES: &str = "told_shares";

/// Of ten hidden tokens, so many are the mask in the text, and so many another token.
const AS_MASK: f64 = 0.8;
const AS_OTHER: f64 = 0.1;

/// Hides tokens of texts and learns to tell them (Devlin et al. 2019). Of the hidden tokens, 80 %
/// are replaced by the mask and 10 % by any token of the vocabulary; 10 % stay as they are.
///
/// A folder without a head for it, such as that of a sentence encoder, gets a new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedTokens {
    /// The share of a text's tokens that is hidden in each pass, above 0 and below 1; at least one
    /// token is.
    #[serde(default = "default_probability")]
    pub probability: f64,
    /// Hides whole words, as the tokenizer splits texts, rather than single tokens. Where it does
    /// not tell words apart, tokens are hidden.
    #[serde(default = "default_whole_words")]
    pub whole_words: bool,
}

impl Default for MaskedTokens {
    fn default() -> MaskedTokens {
        MaskedTokens { probability: default_probability(), whole_words: default_whole_words() }
    }
}

fn default_probability() -> f64 {
    0.15
}
fn default_whole_words() -> bool {
    true
}

impl MaskedTokens {
    /// Reports settings that no training can be done with.
    pub(in crate::stages) fn check(&self, at: &str, problems: &mut Problems) {
        let probability = self.probability;
        if !(probability > 0.0 && probability < 1.0) {
            problems.add(
                &format!("{at}.probability"),
                format!("expected a share above 0 and below 1, found {probability}"),
                "0.15 is usual",
            );
        }
    }
}

/// Texts whose tokens are hidden, and the head that tells them.
pub struct MaskedTexts<'a> {
    pub settings: &'a MaskedTokens,
    pub head: &'a MaskedHead,
    pub tokens: &'a [TokenizedText],
    /// The places of the tokens of each text that are hidden together.
    pub units: Vec<Units>,
    /// The token that hides others.
    pub mask: u32,
    /// The number of tokens that any other is drawn from.
    pub vocabulary: u32,
}

/// The places of the tokens of a text that become something together.
pub type Units = Vec<Vec<usize>>;

/// Returns the places of tokens that are hidden together, of those that may be hidden at all.
pub fn units(words: &Words, whole: bool) -> Units {
    let mut units = Units::new();
    let mut last = None;
    for (place, word) in words.iter().enumerate() {
        match (word, units.last_mut()) {
            (None, _) => {}
            (Some(_), Some(unit)) if whole && last == *word => unit.push(place),
            (Some(_), _) => units.push(vec![place]),
        }
        last = *word;
    }
    units
}

/// A token that is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hidden {
    place: usize,
    /// What stands in its place; `None` where it stays.
    shown: Option<u32>,
}

impl MaskedTexts<'_> {
    /// Draws which tokens of a text are hidden, by rising places. As in BERT's own program, words
    /// come in random order, and one that would hide too many tokens is left out.
    fn draw(&self, text: usize, batch_key: u64) -> Vec<Hidden> {
        let mut random = stream(batch_key, &["adapt", "masks"], text as u64);
        let units = &self.units[text];
        let tokens: usize = units.iter().map(Vec::len).sum();
        let wanted = ((tokens as f64 * self.settings.probability).round() as usize).max(1);
        let mut order: Vec<usize> = (0..units.len()).collect();
        order.shuffle(&mut random);
        let mut places: Vec<usize> = Vec::new();
        for &unit in &order {
            if places.len() + units[unit].len() <= wanted {
                places.extend(&units[unit]);
            }
        }
        // Every word may be longer than what is wanted.
        if let (true, Some(&first)) = (places.is_empty(), order.first()) {
            places.clone_from(&units[first]);
        }
        places.sort_unstable();
        places.into_iter().map(|place| Hidden { place, shown: self.show(&mut random) }).collect()
    }

    fn show(&self, random: &mut impl Rng) -> Option<u32> {
        let draw: f64 = random.random();
        let other = random.random_range(0..self.vocabulary.max(1));
        match draw {
            _ if draw < AS_MASK => Some(self.mask),
            _ if draw < AS_MASK + AS_OTHER => Some(other),
            _ => None,
        }
    }
}

/// A token of a micro-batch's texts that the network tells, and the place whose state tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub text: usize,
    pub place: usize,
    pub by: usize,
}

/// Returns the inputs of [`loss`] for the tokens of texts that are told, each of which counts a
/// share.
pub(super) fn inputs(
    texts: &[&TokenizedText],
    told: impl Iterator<Item = Told>,
    share: f32,
) -> Vec<(String, Feed)> {
    let length = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
    let (mut rows, mut tokens) = (Vec::new(), Vec::new());
    for Told { text, place, by } in told {
        rows.push((text * length + by) as i64);
        tokens.push(i64::from(texts[text].ids[place]));
    }
    let count = rows.len();
    vec![
        (ROWS.to_owned(), Feed::I64(vec![count], rows)),
        (TOLD.to_owned(), Feed::I64(vec![count, 1], tokens)),
        (SHARES.to_owned(), Feed::F32(vec![count, 1], vec![share; count])),
    ]
}

/// Adds the cross-entropy of the logits `[M, V]` of tokens with its inputs.
pub(super) fn loss(network: &mut Network) -> Result<Var, ShapeError> {
    let (g, logits) = (&mut network.graph, network.output);
    let fact = g.fact(logits);
    let Dim::Fixed(words) = fact.shape[fact.axis(1)?] else {
        return Err(ShapeError("the number of words is not known".to_owned()));
    };
    let column = || vec![Dim::Named("M"), Dim::Fixed(1)];
    let told = g.input(TOLD, TensorFact::i64(column()));
    let shares = g.input(SHARES, TensorFact::f32(column()));
    let numbers = (0..words as i64).collect();
    let numbers = g.constant(Constant::I64(vec![1, words], numbers));
    let is_told = g.equal(told, numbers)?; // [M, V]
    let targets = g.cast(is_told, DType::F32)?;
    let targets = g.mul(targets, shares)?;
    g.cross_entropy(logits, targets)
}

impl Objective for MaskedTexts<'_> {
    type Settings = MaskedTokens;

    fn outputs(&self) -> usize {
        self.vocabulary as usize
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
        let mut shown = tokens.clone();
        for hidden in self.draw(text, micro_batch.batch_key) {
            if let (Some(id), Some(place)) = (hidden.shown, shown.ids.get_mut(hidden.place)) {
                *place = id;
            }
        }
        Cow::Owned(shown)
    }

    fn network(
        &self,
        config: &Config,
        _: &HeadForm,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        self.head.network(config, options, adapter)
    }

    fn graph(&self, network: &mut Network) -> Result<Var, ShapeError> {
        loss(network)
    }

    /// Every hidden token of a batch counts the same.
    fn feeds(&self, micro_batch: &MicroBatch<'_>) -> Vec<(String, Feed)> {
        let &MicroBatch { members, batch, batches, batch_key, .. } = micro_batch;
        let count = |text: &usize| self.draw(*text, batch_key).len();
        let all: usize = batch.iter().map(count).sum();
        let share = 1.0 / (all.max(1) * batches) as f32;
        let texts: Vec<&TokenizedText> = members.iter().map(|&text| &self.tokens[text]).collect();
        let of_text = |(row, &text): (usize, &usize)| {
            let hidden = self.draw(text, batch_key).into_iter().map(|hidden| hidden.place);
            hidden.map(move |place| Told { text: row, place, by: place }).collect::<Vec<_>>()
        };
        inputs(&texts, members.iter().enumerate().flat_map(of_text), share)
    }
}
