//! The configuration of `augment`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::growth::quality::Keep;
use super::methods::aeda::Aeda;
use super::methods::chain::Chain;
use super::methods::coarse_graining::CoarseGraining;
use super::methods::command::Command;
use super::methods::contract::Method;
use super::methods::eda::Eda;
use super::methods::hmm::Hmm;
use super::methods::markov::Markov;
use super::methods::masked_lm::MaskedLm;
use super::methods::mix::Mix;
use super::methods::random_deletion::RandomDeletion;
use super::methods::random_insertion::RandomInsertion;
use super::methods::random_swap::RandomSwap;
use super::methods::segment_recombination::SegmentRecombination;
use super::methods::synonym_replacement::SynonymReplacement;
use crate::stages::contract::error::CheckError;
use crate::stages::contract::stage::StageId;

/// Adds generated texts to train; dev and test pass through untouched.
///
/// A generated text that already occurs in dev, test or train is dropped. The originals stay, and
/// every method works on them, not on the texts of another method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// The stage that provides the data set.
    pub data: StageId,
    /// The methods; each adds its texts to the original ones.
    pub methods: Vec<MethodConfig>,
    /// Which generated texts are kept. Default: all new ones.
    #[serde(default)]
    pub keep: Option<Keep>,
}

macro_rules! methods {
    ($($(#[$about:meta])* $variant:ident($kind:ty) = $name:literal,)*) => {
        /// An augmentation method with its settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub enum MethodConfig {
            $($(#[$about])* #[serde(rename = $name)] $variant($kind),)*
        }

        impl MethodConfig {
            /// Returns the method behind the name.
            pub fn method(&self) -> &dyn Method {
                match self {
                    $(MethodConfig::$variant(method) => method,)*
                }
            }

            /// Returns the name in the pipeline file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(MethodConfig::$variant(_) => $name,)*
                }
            }
        }
    };
}

methods! {
    /// Replaces random words by synonyms (EDA).
    SynonymReplacement(SynonymReplacement) = "synonym_replacement",
    /// Inserts synonyms of random words at random places (EDA).
    RandomInsertion(RandomInsertion) = "random_insertion",
    /// Exchanges random words (EDA).
    RandomSwap(RandomSwap) = "random_swap",
    /// Deletes each word with a probability (EDA).
    RandomDeletion(RandomDeletion) = "random_deletion",
    /// Applies one of EDA's four operations to each copy, with the paper's rate and copies for the
    /// size of train.
    Eda(Eda) = "eda",
    /// Inserts punctuation marks at random places (AEDA).
    Aeda(Aeda) = "aeda",
    /// Combines segments of several texts of a class.
    SegmentRecombination(SegmentRecombination) = "segment_recombination",
    /// Joins whole texts of a class.
    CoarseGraining(CoarseGraining) = "coarse_graining",
    /// Draws new texts from a Markov chain over the words of each class.
    Markov(Markov) = "markov",
    /// Draws words or texts from a hidden Markov model of each class.
    Hmm(Hmm) = "hmm",
    /// Replaces or inserts words by a masked language model's predictions.
    MaskedLm(MaskedLm) = "masked_lm",
    /// Lets your own program make the texts, such as a back-translation.
    Command(Command) = "command",
    /// Applies methods one after the other.
    Chain(Chain) = "chain",
    /// Makes each copy with one of several methods, drawn by weight.
    Mix(Mix) = "mix",
}

impl MethodConfig {
    /// Checks the settings of a top-level method at a place in the stage's configuration.
    pub fn check(&self, at: &str) -> Vec<CheckError> {
        self.check_with(self.method().amount().check(), at)
    }

    /// Checks the settings of a method inside another.
    pub(super) fn check_inside(&self, outer: &str, at: &str) -> Vec<CheckError> {
        self.check_with(self.method().amount().check_inside(outer), at)
    }

    fn check_with(&self, amount: Vec<CheckError>, at: &str) -> Vec<CheckError> {
        let place = |error: CheckError| CheckError {
            field: format!("{at}.{}.{}", self.name(), error.field),
            ..error
        };
        self.method().check().into_iter().chain(amount).map(place).collect()
    }
}
