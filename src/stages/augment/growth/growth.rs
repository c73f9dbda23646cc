//! Growing train: the number of texts, their ids and random streams, and which texts are new. It is
//! the same for every method.

use std::collections::{BTreeMap, HashSet};

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::quality::Filter;
use super::quality::filter::Fate;
use crate::base::seed::{key, stream};
use crate::data::normal::normalise;
use crate::data::{AugmentationRow, DataSet, Example, Origin};
use crate::stages::augment::config::MethodConfig;
use crate::stages::augment::error::AugmentError;
use crate::stages::augment::methods::contract::{Generator, Originals, Request};
use crate::stages::contract::error::{Interrupted, StageError};
use crate::stages::contract::stage::Ctx;

/// The originals of a data set and every text that must not be made again.
pub(in crate::stages::augment) struct Growth<'a> {
    originals: Originals<'a>,
    /// The current number of texts of each class.
    sizes: Vec<usize>,
    /// The last copy number of each method so far, including earlier stages.
    numbered: BTreeMap<String, usize>,
    // Texts are normalised. Only membership is looked up; the order of the sets reaches no output.
    held_out: HashSet<String>,
    train: HashSet<String>,
    ids: HashSet<String>,
}

/// A method that is run.
pub(in crate::stages::augment) struct Entry<'m> {
    pub config: &'m MethodConfig,
    /// The settings, as the generated rows record them.
    pub settings: &'m str,
    /// The method's own seed or the run's.
    pub seed: u64,
    pub generator: &'m dyn Generator,
}

/// The texts that a method has added.
#[derive(Debug)]
pub(in crate::stages::augment) struct Grown {
    pub made: Vec<Example>,
    /// One row per class, in the order of the labels.
    pub rows: Vec<AugmentationRow>,
}

/// A generated text to be judged.
struct Candidate {
    example: Example,
    normal: String,
    copied: f64,
}

/// The attempts per missing text of a class before the class stays short.
const PATIENCE: usize = 20;
/// The rounds without a single text after which a method is given up.
const FRUITLESS_ROUNDS: usize = 3;
/// The number of texts that are made at a time.
const TOGETHER: usize = 100_000;

impl<'a> Growth<'a> {
    pub(in crate::stages::augment) fn of(data: &'a DataSet) -> Result<Growth<'a>, AugmentError> {
        let texts = |examples: &'a [Example]| -> HashSet<String> {
            examples.par_iter().map(|example| normalise(&example.text.joined())).collect()
        };
        let examples = data.splits.train.iter().filter(|example| example.is_original()).collect();
        let originals = Originals::new(data.labels(), examples);
        let by_class = originals.by_class();
        if let Some(empty) = (0..data.labels().len()).find(|class| !by_class.contains_key(class)) {
            return Err(AugmentError::EmptyClass { label: data.labels()[empty].clone() });
        }
        let mut sizes = vec![0; data.labels().len()];
        data.splits.train.iter().for_each(|example| sizes[example.class()] += 1);
        Ok(Growth {
            originals,
            sizes,
            numbered: numbered(&data.splits.train),
            held_out: texts(&data.splits.dev).into_iter().chain(texts(&data.splits.test)).collect(),
            train: texts(&data.splits.train),
            ids: data.splits.train.iter().map(|example| example.id.clone()).collect(),
        })
    }

    /// Returns the examples of train that no method has made.
    pub(in crate::stages::augment) fn originals(&self) -> &Originals<'a> {
        &self.originals
    }

    /// Makes the texts that a method is asked for and returns the new ones that pass the filter.
    /// They come by original and copy, or by class if classes are filled up.
    pub(in crate::stages::augment) fn grow(
        &mut self,
        ctx: &dyn Ctx,
        entry: &Entry<'_>,
        filter: Option<&mut Filter>,
    ) -> Result<Grown, StageError> {
        let name = entry.config.name();
        let amount = entry.config.method().amount();
        let first = self.numbered.get(name).copied().unwrap_or_default() + 1;
        let mut grown = Grown { made: Vec::new(), rows: Vec::new() };
        for label in self.originals.labels {
            let row = AugmentationRow {
                method: name.to_owned(),
                label: label.clone(),
                ..AugmentationRow::default()
            };
            grown.rows.push(AugmentationRow { distance_sum: filter.as_ref().map(|_| 0.0), ..row });
        }
        let mut filter = filter;
        let last = match amount.to {
            Some(to) => self.fill_up(ctx, entry, to, first, &mut filter, &mut grown)?,
            None => {
                let default =
                    || entry.config.method().default_copies(self.originals.examples.len());
                let copies = amount.copies.unwrap_or_else(default);
                let examples = self.originals.examples.clone();
                let asked: Vec<(&Example, usize)> = examples
                    .into_iter()
                    .flat_map(|original| (first..first + copies).map(move |copy| (original, copy)))
                    .collect();
                for asked in asked.chunks(TOGETHER) {
                    self.make(ctx, entry, asked, &mut filter, &mut grown)?;
                }
                first + copies - 1
            }
        };
        // A second entry of the same method, or a second stage, continues the numbers, so that it
        // makes new copies.
        self.numbered.insert(name.to_owned(), last);
        Ok(grown)
    }

    /// Makes copies of the originals of each class, round by round in a random order, until the
    /// class has `to` texts. Returns the last copy number.
    fn fill_up(
        &mut self,
        ctx: &dyn Ctx,
        entry: &Entry<'_>,
        to: usize,
        first: usize,
        filter: &mut Option<&mut Filter>,
        grown: &mut Grown,
    ) -> Result<usize, StageError> {
        let name = entry.config.name();
        let mut last = first - 1;
        let mut classes: Vec<(usize, Vec<&Example>, usize)> = Vec::new();
        for (class, mut originals) in self.originals.by_class() {
            let mut random = stream(
                entry.seed,
                &["augment", name, "order", &self.originals.labels[class]],
                first as u64,
            );
            originals.shuffle(&mut random);
            classes.push((class, originals, 0));
        }
        let lacking: Vec<usize> = self.sizes.iter().map(|size| to.saturating_sub(*size)).collect();
        let mut fruitless = 0;
        loop {
            let mut asked: Vec<(&Example, usize)> = Vec::new();
            for (class, originals, place) in &mut classes {
                let patience = PATIENCE * lacking[*class];
                let wanted =
                    to.saturating_sub(self.sizes[*class]).min(patience.saturating_sub(*place));
                for _ in 0..wanted {
                    let copy = first + *place / originals.len();
                    asked.push((originals[*place % originals.len()], copy));
                    last = last.max(copy);
                    *place += 1;
                }
            }
            if asked.is_empty() {
                break;
            }
            fruitless =
                if self.make(ctx, entry, &asked, filter, grown)? > 0 { 0 } else { fruitless + 1 };
            // A program that makes nothing is not asked forever.
            if fruitless == FRUITLESS_ROUNDS {
                break;
            }
        }
        for (label, size) in self.originals.labels.iter().zip(&self.sizes) {
            if *size < to {
                ctx.warn(&format!(
                    "class `{label}` has {size} texts instead of {to}: `{name}` makes no more that \
                     are new and pass the filter"
                ));
            }
        }
        Ok(last)
    }

    /// Makes texts of these originals with these copy numbers, and adds the new ones that pass the
    /// filter. Returns the number of texts made, before any was dropped.
    fn make(
        &mut self,
        ctx: &dyn Ctx,
        entry: &Entry<'_>,
        asked: &[(&'a Example, usize)],
        filter: &mut Option<&mut Filter>,
        grown: &mut Grown,
    ) -> Result<usize, StageError> {
        if ctx.interrupted() {
            return Err(Box::new(Interrupted));
        }
        let name = entry.config.name();
        let request = |&(original, copy): &(&'a Example, usize)| {
            // The stage's id is left out, so that renaming a stage changes no text.
            Request::new(
                original,
                copy,
                key(entry.seed, &["augment", name, &original.id], copy as u64),
            )
        };
        let mut requests: Vec<Request<'_>> =
            asked.par_iter().with_min_len(64).map(request).collect();
        let mut references: Vec<&mut Request<'_>> = requests.iter_mut().collect();
        let generated = entry.generator.generate(ctx, &mut references)?;
        let classes = self.originals.class_texts();
        let candidate = |(&(original, copy), made): (
            &(&Example, usize),
            Option<crate::stages::augment::methods::contract::Generated>,
        )| {
            let made = made?;
            let parents =
                if made.parents.is_empty() { vec![original.id.clone()] } else { made.parents };
            Some(Candidate {
                normal: normalise(&made.text),
                copied: classes
                    .get(&original.class())
                    .map_or(0.0, |texts| texts.copied_share(&made.text)),
                example: Example {
                    id: format!("{}{MADE}{name}{COPY}{copy}", original.id),
                    text: made.text.into(),
                    target: original.target.clone(),
                    origin: Origin::Generated { parents, method: entry.settings.to_owned() },
                },
            })
        };
        let candidates: Vec<Option<Candidate>> =
            asked.par_iter().zip(generated).with_min_len(64).map(candidate).collect();
        let count = candidates.iter().flatten().count();
        // One after another, because each changes which texts are new for the next.
        let mut new: Vec<Candidate> = Vec::new();
        for (&(original, _), candidate) in asked.iter().zip(candidates) {
            let row = &mut grown.rows[original.class()];
            row.asked += 1;
            match candidate {
                None => row.unchanged += 1,
                Some(candidate) => new.extend(self.admit(candidate, row)),
            }
        }
        let texts: Vec<&str> =
            new.iter().map(|candidate| candidate.example.text.first.as_str()).collect();
        let labels: Vec<usize> = new.iter().map(|candidate| candidate.example.class()).collect();
        let verdicts = match filter {
            Some(filter) if !new.is_empty() => Some(filter.judge(ctx, &texts, &labels)?),
            _ => None,
        };
        for (index, candidate) in new.into_iter().enumerate() {
            let row = &mut grown.rows[candidate.example.class()];
            if let Some(verdict) = verdicts.as_ref().map(|verdicts| verdicts[index]) {
                match verdict.fate {
                    Fate::TooFar => row.too_far += 1,
                    Fate::Astray => row.astray += 1,
                    Fate::Kept => {
                        row.distance_sum = row.distance_sum.map(|sum| sum + verdict.distance)
                    }
                }
                if verdict.fate != Fate::Kept {
                    continue;
                }
            }
            row.kept += 1;
            row.copied_sum += candidate.copied;
            self.sizes[candidate.example.class()] += 1;
            grown.made.push(candidate.example);
        }
        Ok(count)
    }

    /// Returns a generated text if it is new, and records it.
    fn admit(&mut self, candidate: Candidate, row: &mut AugmentationRow) -> Option<Candidate> {
        // A text of spaces alone is no text. No method should make one, but a program may.
        if candidate.normal.is_empty() {
            row.unchanged += 1;
            return None;
        }
        if self.held_out.contains(&candidate.normal) {
            row.leaks += 1;
            return None;
        }
        if self.ids.contains(&candidate.example.id) || !self.train.insert(candidate.normal.clone())
        {
            row.repeats += 1;
            return None;
        }
        self.ids.insert(candidate.example.id.clone());
        Some(candidate)
    }
}

/// The separators in the id of a generated example: between the original's id and the method, and
/// between the method and the copy number.
const MADE: char = '+';
const COPY: char = '-';

/// Returns the last copy number of each method in a train set.
fn numbered(train: &[Example]) -> BTreeMap<String, usize> {
    let mut last = BTreeMap::new();
    for example in train.iter().filter(|example| !example.is_original()) {
        let made = example.id.rsplit_once(MADE).and_then(|(_, made)| made.rsplit_once(COPY));
        let Some((name, copy)) =
            made.and_then(|(name, copy)| Some((name, copy.parse::<usize>().ok()?)))
        else {
            continue;
        };
        let last = last.entry(name.to_owned()).or_default();
        *last = copy.max(*last);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Splits, Task};
    use crate::stages::augment::methods::contract::{Generated, OneByOne};
    use crate::stages::test_ctx::TestCtx;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    /// Appends one of three words, or nothing if the text ends in a full stop.
    struct Appender;

    impl OneByOne for Appender {
        fn one(&self, text: &str, _: &Example, random: &mut ChaCha8Rng) -> Option<Generated> {
            let word = ["red", "green", "blue"][random.random_range(0..3)];
            (!text.ends_with('.')).then(|| Generated::of(format!("{text} {word}")))
        }
    }

    fn example(id: &str, text: &str) -> Example {
        Example::original(id, text, 0)
    }

    fn data() -> DataSet {
        let mut data = DataSet {
            task: Task::Classes { labels: vec!["a".into(), "b".into()] },
            splits: Splits {
                train: (0..40)
                    .map(|row| example(&format!("row-{row}"), &format!("text {row}")))
                    .collect(),
                dev: vec![example("row-50", "TEXT 0  red"), example("row-51", "text 0 green")],
                test: vec![example("row-52", "Text 0 blue")],
            },
            ..DataSet::default()
        };
        data.splits.train.push(Example::original("row-60", "the only one", 1));
        data
    }

    /// Grows with the appender, under the name and amount of these settings.
    fn grow(
        growth: &mut Growth<'_>,
        seed: u64,
        amount: &str,
    ) -> Result<(Grown, String), Box<dyn std::error::Error>> {
        let config: MethodConfig = serde_json::from_str(&format!("{{\"aeda\": {amount}}}"))?;
        let ctx = TestCtx::new(13)?;
        let entry = Entry { config: &config, settings: "{}", seed, generator: &Appender };
        let grown = growth.grow(&ctx, &entry, None).map_err(|error| error.to_string())?;
        Ok((grown, ctx.said()))
    }

    fn made(
        data: &DataSet,
        seed: u64,
        amount: &str,
    ) -> Result<Vec<Example>, Box<dyn std::error::Error>> {
        Ok(grow(&mut Growth::of(data)?, seed, amount)?.0.made)
    }

    #[test]
    fn leaks_and_repeats_are_dropped_and_counted() -> Result<(), Box<dyn std::error::Error>> {
        let mut data = data();
        data.splits.train.drain(2..40);
        data.splits.train.push(example("row-2", "nothing to do."));
        let (grown, _) = grow(&mut Growth::of(&data)?, 13, r#"{"copies": 10}"#)?;
        let row = &grown.rows[0];
        assert_eq!(
            (row.asked, row.leaks, row.unchanged),
            (30, 10, 10),
            "every copy of the first text is in dev or test"
        );
        assert_eq!(row.kept + row.repeats, 10);
        assert_eq!((grown.rows[1].asked, grown.rows[1].label.as_str()), (10, "b"));
        let made: Vec<&Example> =
            grown.made.iter().filter(|example| example.class() == 0).collect();
        assert_eq!(made.len() as u64, row.kept);
        let distinct: HashSet<&str> =
            made.iter().map(|example| example.text.first.as_str()).collect();
        assert_eq!(distinct.len(), made.len());
        assert!(
            made.iter()
                .all(|example| example.parents() == ["row-1"] && example.method() == Some("{}"))
        );
        assert_eq!(made[0].id, "row-1+aeda-1");
        assert!(
            (row.copied_sum / row.kept as f64 - 2.0 / 3.0).abs() < 1e-12,
            "two of three words are the original's"
        );
        Ok(())
    }

    #[test]
    fn classes_are_filled_up_to_a_number() -> Result<(), Box<dyn std::error::Error>> {
        let data = data();
        let (grown, said) = grow(&mut Growth::of(&data)?, 13, r#"{"to": 45}"#)?;
        assert_eq!(
            (grown.rows[0].kept, grown.rows[1].kept),
            (5, 3),
            "three texts can be made of one"
        );
        assert_eq!(grown.rows[1].asked, 20 * 44);
        assert!(said.contains("class `b` has 4 texts instead of 45"), "{said}");
        let parents: HashSet<&String> =
            grown.made.iter().filter(|e| e.class() == 0).flat_map(|e| e.parents()).collect();
        assert_eq!(parents.len(), 5, "each original once before any twice");
        let (none, said) = grow(&mut Growth::of(&data)?, 13, r#"{"to": 1}"#)?;
        assert!(none.made.is_empty() && said.trim().is_empty());
        let (all, _) = grow(&mut Growth::of(&data)?, 13, r#"{"to": 100}"#)?;
        assert_eq!(all.rows[0].kept, 60);
        let row = &all.rows[0];
        assert_eq!(row.asked, row.kept + row.leaks + row.repeats);
        assert!(all.made.iter().any(|example| example.id.ends_with("-2")));
        Ok(())
    }

    #[test]
    fn the_number_of_threads_and_other_examples_change_nothing()
    -> Result<(), Box<dyn std::error::Error>> {
        let data = data();
        let with = |threads| -> Result<Vec<Example>, String> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|e| e.to_string())?;
            pool.install(|| made(&data, 13, r#"{"copies": 3}"#).map_err(|error| error.to_string()))
        };
        let (one, four) = (with(1)?, with(4)?);
        assert_eq!(one, four);
        let mut fewer = data.clone();
        fewer.splits.train.drain(..39);
        let last = made(&fewer, 13, r#"{"copies": 3}"#)?;
        assert_eq!(last, one[one.len() - last.len()..]);
        assert_ne!(one, made(&data, 14, r#"{"copies": 3}"#)?);
        Ok(())
    }

    #[test]
    fn a_second_entry_of_a_method_numbers_on() -> Result<(), Box<dyn std::error::Error>> {
        let mut data = data();
        data.splits.train.drain(..39);
        let mut growth = Growth::of(&data)?;
        let (mut ids, mut repeats): (Vec<String>, u64) = Default::default();
        for _ in 0..2 {
            let (grown, _) = grow(&mut growth, 13, r#"{"copies": 6}"#)?;
            repeats += grown.rows[0].repeats;
            ids.extend(
                grown
                    .made
                    .into_iter()
                    .filter(|example| example.class() == 0)
                    .map(|example| example.id),
            );
        }
        let distinct: HashSet<&String> = ids.iter().collect();
        assert!(distinct.len() == ids.len() && ids.len() <= 3);
        assert_eq!(ids.len() as u64 + repeats, 12);
        Ok(())
    }

    #[test]
    fn made_texts_are_no_originals_for_the_next_stage() -> Result<(), Box<dyn std::error::Error>> {
        let mut data = data();
        let first = made(&data, 13, "{}")?;
        data.splits.train.extend(first.clone());
        let mut again = Growth::of(&data)?;
        assert_eq!(again.originals().examples.len(), 41);
        // Two stages of one method make the same texts as one stage with both copies.
        let (more, _) = grow(&mut again, 13, "{}")?;
        data.splits.train.truncate(41);
        let both = made(&data, 13, r#"{"copies": 2}"#)?;
        assert!(!more.made.is_empty());
        assert_eq!(
            more.made,
            both.into_iter().filter(|e| e.id.ends_with("-2")).collect::<Vec<_>>()
        );
        assert!(first.iter().all(|e| e.id.ends_with("-1")));
        Ok(())
    }

    #[test]
    fn a_class_without_texts_is_an_error() {
        let mut data = data();
        data.splits.train.retain(|example| example.class() == 0);
        let message = Growth::of(&data).err().map(|error| error.to_string());
        assert_eq!(
            message.as_deref(),
            Some("class `b` has no text in train; expected at least one")
        );
    }
}
