//! A labelled data set with its three splits.

use std::path::Path;

use polars::chunked_array::builder::{ListBuilderTrait, ListStringChunkedBuilder};
use polars::prelude::*;

use super::augmentation::AugmentationTable;
use super::error::TableError;
use super::frame::{self, Columns};
use super::seen::Seen;
use super::split::{Split, Splits};
use super::task::{self, Target, Task};
use super::text::Text;
use super::unlabelled::{self, Unlabelled};

/// A labelled data set with its three splits.
///
/// On the disk: `data.parquet` (`split`, `id`, `text`, `label` by name, `parents`, `method` and,
/// where there are pairs, `second`), `labels.json`, `unlabelled.parquet` if there are texts without
/// labels, `augmentation.parquet` if train was augmented, and `seen.parquet` if its makers have
/// seen other texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// What is learnt from it.
    pub task: Task,
    /// A split that the data set lacks is empty.
    pub splits: Splits<Vec<Example>>,
    /// Texts of unknown classes, none of which stands in train; mostly there are none.
    pub unlabelled: Vec<Unlabelled>,
    /// The outcomes of augmentation; empty without augmentation.
    pub augmentation: AugmentationTable,
    /// What the makers of its generated texts have seen besides its own texts.
    pub seen: Seen,
}

/// A text with its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Unique in the data set and the same in every run: the source's row for an original, derived
    /// from the parents for a generated text.
    pub id: String,
    pub text: Text,
    /// Of the kind of the data set's task.
    pub target: Target,
    pub origin: Origin,
}

/// Where an example comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A row of the source.
    #[default]
    Source,
    /// A method of augmentation.
    Generated {
        /// The ids of the examples from which this one was generated.
        parents: Vec<String>,
        /// The method with its settings as JSON.
        method: String,
    },
}

const FILE: &str = "data.parquet";
const LABELS: &str = "labels.json";
const SEEN: &str = "seen.parquet";
const SECOND: &str = "second";

impl DataSet {
    /// Returns the class names in their order.
    pub fn labels(&self) -> &[String] {
        self.task.labels()
    }

    /// Returns the class of each train text.
    pub fn train_classes(&self) -> Vec<usize> {
        self.splits.train.iter().map(Example::class).collect()
    }

    /// Writes `data.parquet` and `labels.json` into `folder`. The same data set gives the same
    /// bytes.
    pub fn write(&self, folder: &Path) -> Result<(), TableError> {
        let file = folder.join(FILE);
        let rows: Vec<(Split, &Example)> = self
            .splits
            .iter()
            .flat_map(|(split, examples)| examples.iter().map(move |example| (split, example)))
            .collect();
        let mut labels = Vec::with_capacity(rows.len());
        for (_, example) in &rows {
            let class = example.class();
            labels.push(self.labels().get(class).map(String::as_str).ok_or_else(|| {
                TableError::Unwritable {
                    file: file.display().to_string(),
                    reason: format!("the label {class} of `{}` has no name", example.id),
                }
            })?);
        }
        let mut parents = ListStringChunkedBuilder::new("parents".into(), rows.len(), 0);
        for (_, example) in &rows {
            parents.append_values_iter(example.parents().iter().map(String::as_str));
        }
        let texts = |name: &str, of: fn(&Example) -> &str| {
            Column::new(
                name.into(),
                rows.iter().map(|(_, example)| of(example)).collect::<Vec<&str>>(),
            )
        };
        let methods: Vec<Option<&str>> = rows.iter().map(|(_, example)| example.method()).collect();
        let seconds: Vec<Option<&str>> =
            rows.iter().map(|(_, example)| example.text.second.as_deref()).collect();
        let mut columns = vec![
            Column::new(
                "split".into(),
                rows.iter().map(|(split, _)| split.name()).collect::<Vec<&str>>(),
            ),
            texts("id", |example| &example.id),
            texts("text", |example| &example.text.first),
            Column::new("label".into(), labels),
            parents.finish().into_series().into(),
            Column::new("method".into(), methods),
        ];
        if seconds.iter().any(Option::is_some) {
            columns.push(Column::new(SECOND.into(), seconds));
        }
        frame::write_parquet(&file, &mut frame::frame(&file, rows.len(), columns)?)?;
        unlabelled::write(&self.unlabelled, folder)?;
        self.augmentation.write(folder)?;
        self.seen.write(&folder.join(SEEN))?;
        let labels = format!("{:#}\n", serde_json::Value::from(self.labels()));
        Ok(fs_err::write(folder.join(LABELS), labels)?)
    }

    /// Returns whether a folder holds a data set.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Reads the files of [`DataSet::write`].
    pub fn read(folder: &Path) -> Result<DataSet, TableError> {
        let labels_file = folder.join(LABELS);
        let labels: Vec<String> = serde_json::from_slice(&fs_err::read(&labels_file)?)
            .map_err(|error| frame::damaged(&labels_file, error))?;
        let file = folder.join(FILE);
        let table = frame::read_parquet(&file)?;
        let columns = Columns { file: &file, frame: &table };
        let splits = columns.full_strings("split")?;
        let ids = columns.full_strings("id")?;
        let texts = columns.full_strings("text")?;
        let names = columns.full_strings("label")?;
        let methods = columns.strings("method")?;
        let parents = columns.string_lists("parents")?;
        let seconds = match table.column(SECOND) {
            Ok(_) => columns.strings(SECOND)?,
            Err(_) => vec![None; table.height()],
        };
        let classes = task::numbers(&labels);
        let mut data = Splits::<Vec<Example>>::default();
        let rows = splits.into_iter().zip(ids).zip(texts.into_iter().zip(seconds));
        let rows = rows.zip(names).zip(methods.into_iter().zip(parents));
        for ((((split, id), (first, second)), name), (method, parents)) in rows {
            let class = classes.get(name.as_str()).ok_or_else(|| {
                frame::damaged(&file, format!("`{name}` is not one of its classes"))
            })?;
            let split: Split = split.parse().map_err(|error| frame::damaged(&file, error))?;
            let origin =
                method.map_or(Origin::Source, |method| Origin::Generated { parents, method });
            let (text, target) = (Text { first, second }, Target::Class(*class));
            data.get_mut(split).push(Example { id, text, target, origin });
        }
        Ok(DataSet {
            task: Task::Classes { labels },
            splits: data,
            unlabelled: unlabelled::read(folder)?,
            augmentation: AugmentationTable::read(folder)?,
            seen: Seen::read(&folder.join(SEEN))?,
        })
    }
}

impl Example {
    /// Returns an original text with its class.
    pub fn original(id: impl Into<String>, text: impl Into<Text>, class: usize) -> Example {
        Example {
            id: id.into(),
            text: text.into(),
            target: Target::Class(class),
            origin: Origin::Source,
        }
    }

    /// Returns the class of an example for classification.
    pub fn class(&self) -> usize {
        match self.target {
            Target::Class(class) => class,
        }
    }

    /// Says whether it was not generated.
    pub fn is_original(&self) -> bool {
        self.origin == Origin::Source
    }

    /// Returns the ids of the examples from which this one was generated; none for an original.
    pub fn parents(&self) -> &[String] {
        match &self.origin {
            Origin::Source => &[],
            Origin::Generated { parents, .. } => parents,
        }
    }

    /// Returns the method that generated it, with its settings as JSON; `None` for an original.
    pub fn method(&self) -> Option<&str> {
        match &self.origin {
            Origin::Source => None,
            Origin::Generated { method, .. } => Some(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augmentation::AugmentationRow;

    fn task(labels: &[&str]) -> Task {
        Task::Classes { labels: labels.iter().map(|label| (*label).to_owned()).collect() }
    }

    fn data() -> DataSet {
        DataSet {
            task: task(&["no", "yes"]),
            splits: Splits {
                train: vec![
                    Example::original("row-1", "one, \"two\"\nthree 😀", 1),
                    Example {
                        origin: Origin::Generated {
                            parents: vec!["row-1".into(), "row-3".into()],
                            method: "{\"random_insertion\":{}}".into(),
                        },
                        ..Example::original("row-1+random_insertion-1", "made", 1)
                    },
                ],
                dev: Vec::new(),
                test: vec![Example::original("row-2", " ", 0)],
            },
            unlabelled: vec![Unlabelled { id: "row-7".into(), text: "which".into() }],
            augmentation: AugmentationTable {
                rows: vec![AugmentationRow {
                    label: "yes".into(),
                    kept: 1,
                    ..AugmentationRow::default()
                }],
            },
            seen: Seen::default(),
        }
    }

    #[test]
    fn reads_back_what_it_wrote_with_the_same_bytes() -> Result<(), TableError> {
        let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
        data().write(one.path())?;
        data().write(two.path())?;
        assert_eq!(DataSet::read(one.path())?, data());
        for file in [FILE, LABELS] {
            assert_eq!(fs_err::read(one.path().join(file))?, fs_err::read(two.path().join(file))?);
        }
        let empty = DataSet { task: task(&["a"]), ..DataSet::default() };
        let three = tempfile::tempdir()?;
        empty.write(three.path())?;
        assert_eq!(DataSet::read(three.path())?, empty);
        Ok(())
    }

    #[test]
    fn a_pair_keeps_both_texts() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let mut pairs = data();
        pairs.splits.train[0].text.second = Some("and four".into());
        pairs.write(folder.path())?;
        assert_eq!(DataSet::read(folder.path())?, pairs);
        let texts: Vec<String> =
            pairs.splits.train.iter().map(|example| example.text.to_string()).collect();
        assert_eq!(texts, ["one, \"two\"\nthree 😀 and four", "made"]);
        Ok(())
    }

    #[test]
    fn a_label_that_the_list_lacks_is_damage() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        data().write(folder.path())?;
        fs_err::write(folder.path().join(LABELS), "[\"no\"]")?;
        let message = DataSet::read(folder.path()).map_err(|error| error.to_string());
        assert!(
            matches!(&message, Err(text) if text.contains("`yes` is not one of its classes")),
            "{message:?}"
        );
        Ok(())
    }
}
