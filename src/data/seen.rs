//! The texts that something has learnt from, so that they are found among those that it is scored
//! on.

use std::collections::BTreeSet;
use std::path::Path;

use polars::prelude::*;

use super::error::TableError;
use super::frame::{self, Columns};
use super::normal::normalise;
use super::split::Split;
use crate::base::digest::Digest;

/// The texts that a model or a maker of texts has learnt from, as digests of the form in which
/// texts are compared.
///
/// On the disk: a table with `text` (the digest's first 64 bits) and `split` (`train` or `dev`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Trained on, or fitted to.
    train: BTreeSet<u64>,
    /// Looked at between epochs.
    dev: BTreeSet<u64>,
}

impl Seen {
    /// Adds a text that was seen in a split; test teaches nothing.
    pub fn add_text(&mut self, split: Split, text: &str) {
        match split {
            Split::Train => self.train.insert(digest(text)),
            Split::Dev => self.dev.insert(digest(text)),
            Split::Test => false,
        };
    }

    /// Adds what something else has seen.
    pub fn add(&mut self, other: &Seen) {
        self.train.extend(&other.train);
        self.dev.extend(&other.dev);
    }

    /// Returns the split as which a text was seen, where that makes its score in `scored`
    /// meaningless: a test text must not have been seen at all, a dev text must not have been
    /// trained on.
    pub fn as_what(&self, text: &str, scored: Split) -> Option<Split> {
        let digest = digest(text);
        match scored {
            Split::Test | Split::Dev if self.train.contains(&digest) => Some(Split::Train),
            Split::Test if self.dev.contains(&digest) => Some(Split::Dev),
            Split::Train | Split::Dev | Split::Test => None,
        }
    }

    /// Returns how many texts were trained on, and how many were looked at between epochs.
    pub fn counts(&self) -> (usize, usize) {
        (self.train.len(), self.dev.len())
    }

    /// Says whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.train.is_empty() && self.dev.is_empty()
    }

    /// Writes the table, unless nothing was seen.
    pub fn write(&self, file: &Path) -> Result<(), TableError> {
        if self.is_empty() {
            return Ok(());
        }
        let all = self.train.iter().map(|text| (*text, Split::Train));
        let all: Vec<(u64, Split)> =
            all.chain(self.dev.iter().map(|text| (*text, Split::Dev))).collect();
        let texts: Vec<u64> = all.iter().map(|(text, _)| *text).collect();
        let splits: Vec<&str> = all.iter().map(|(_, split)| split.name()).collect();
        let columns = vec![Column::new("text".into(), texts), Column::new("split".into(), splits)];
        frame::write_parquet(file, &mut frame::frame(file, all.len(), columns)?)
    }

    /// Reads the table of [`Seen::write`]. Without a file, nothing was seen.
    pub fn read(file: &Path) -> Result<Seen, TableError> {
        let mut seen = Seen::default();
        if !file.is_file() {
            return Ok(seen);
        }
        let table = frame::read_parquet(file)?;
        let columns = Columns { file, frame: &table };
        let texts = columns.full_integers("text")?;
        for (text, split) in texts.into_iter().zip(columns.full_strings("split")?) {
            match split.parse() {
                Ok(Split::Train) => seen.train.insert(text),
                Ok(Split::Dev) => seen.dev.insert(text),
                _ => return Err(frame::damaged(file, format!("`{split}` is not learnt from"))),
            };
        }
        Ok(seen)
    }
}

fn digest(text: &str) -> u64 {
    Digest::of(normalise(text).as_bytes()).first_64_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_back() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("seen.parquet");
        assert_eq!(Seen::read(&file)?, Seen::default());
        Seen::default().write(&file)?;
        assert!(!file.exists());
        let mut seen = Seen::default();
        for (split, text) in [(Split::Train, "one"), (Split::Dev, "two"), (Split::Test, "three")] {
            seen.add_text(split, text);
        }
        seen.write(&file)?;
        assert_eq!(Seen::read(&file)?, seen);
        assert_eq!(seen.as_what(" ONE", Split::Dev), Some(Split::Train));
        assert_eq!(seen.as_what("two", Split::Test), Some(Split::Dev));
        assert_eq!(seen.as_what("two", Split::Dev), None);
        assert_eq!(seen.as_what("three", Split::Test), None);
        Ok(())
    }
}
