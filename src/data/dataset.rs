//! A labelled data set with its three splits.

use std::path::Path;

use polars::chunked_array::builder::{ListBuilderTrait, ListStringChunkedBuilder};
use polars::prelude::*;

use super::augmentation::AugmentationTable;
use super::error::TableError;
use super::frame::{self, Columns};
use super::split::{Split, Splits};

/// A labelled data set with its three splits.
///
/// On the disk: `data.parquet` (`split`, `id`, `text`, `label` by name, `parents`, `method`),
/// `labels.json` and, if train was augmented, `augmentation.parquet`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    /// The class names; a label is an index into them. Sorted, so that the order never depends on
    /// the rows.
    pub labels: Vec<String>,
    /// A split that the data set lacks is empty.
    pub splits: Splits<Vec<Example>>,
    /// The outcomes of augmentation; empty without augmentation.
    pub augmentation: AugmentationTable,
}

/// A labelled text.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Unique in the data set and the same in every run: the source's row for an original, derived
    /// from the parents for a generated text.
    pub id: String,
    pub text: String,
    /// An index into [`DataSet::labels`].
    pub label: usize,
    /// The ids of the examples from which this one was generated; empty for an original.
    pub parents: Vec<String>,
    /// The augmentation method that generated it, with its settings as JSON; `None` for an
    /// original.
    pub method: Option<String>,
}

const FILE: &str = "data.parquet";
const LABELS: &str = "labels.json";

impl DataSet {
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
            labels.push(self.labels.get(example.label).map(String::as_str).ok_or_else(|| {
                TableError::Unwritable {
                    file: file.display().to_string(),
                    reason: format!("the label {} of `{}` has no name", example.label, example.id),
                }
            })?);
        }
        let mut parents = ListStringChunkedBuilder::new("parents".into(), rows.len(), 0);
        for (_, example) in &rows {
            parents.append_values_iter(example.parents.iter().map(String::as_str));
        }
        let texts = |name: &str, of: fn(&Example) -> &str| {
            Column::new(
                name.into(),
                rows.iter().map(|(_, example)| of(example)).collect::<Vec<&str>>(),
            )
        };
        let methods: Vec<Option<&str>> =
            rows.iter().map(|(_, example)| example.method.as_deref()).collect();
        let columns = vec![
            Column::new(
                "split".into(),
                rows.iter().map(|(split, _)| split.name()).collect::<Vec<&str>>(),
            ),
            texts("id", |example| &example.id),
            texts("text", |example| &example.text),
            Column::new("label".into(), labels),
            parents.finish().into_series().into(),
            Column::new("method".into(), methods),
        ];
        frame::write_parquet(&file, &mut frame::frame(&file, rows.len(), columns)?)?;
        self.augmentation.write(folder)?;
        let labels = format!("{:#}\n", serde_json::Value::from(self.labels.clone()));
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
        let damaged = |reason: String| frame::damaged(&file, reason);
        let table = frame::read_parquet(&file)?;
        let columns = Columns { file: &file, frame: &table };
        let splits = columns.full_strings("split")?;
        let ids = columns.full_strings("id")?;
        let texts = columns.full_strings("text")?;
        let names = columns.full_strings("label")?;
        let methods = columns.strings("method")?;
        let parents = columns.string_lists("parents")?;
        let augmentation = AugmentationTable::read(folder)?;
        let mut data = DataSet { labels, augmentation, ..DataSet::default() };
        let rows = splits.into_iter().zip(ids).zip(texts).zip(names).zip(methods).zip(parents);
        for (((((split, id), text), name), method), parents) in rows {
            let label = data
                .labels
                .iter()
                .position(|label| *label == name)
                .ok_or_else(|| damaged(format!("`{name}` is not one of its classes")))?;
            let split: Split = split.parse().map_err(|error| frame::damaged(&file, error))?;
            data.splits.get_mut(split).push(Example { id, text, label, parents, method });
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augmentation::AugmentationRow;

    fn data() -> DataSet {
        let original = |id: &str, text: &str, label| Example {
            id: id.into(),
            text: text.into(),
            label,
            parents: Vec::new(),
            method: None,
        };
        DataSet {
            labels: vec!["no".into(), "yes".into()],
            splits: Splits {
                train: vec![
                    original("row-1", "one, \"two\"\nthree 😀", 1),
                    Example {
                        parents: vec!["row-1".into(), "row-3".into()],
                        method: Some("{\"random_insertion\":{}}".into()),
                        ..original("row-1+random_insertion-1", "made", 1)
                    },
                ],
                dev: Vec::new(),
                test: vec![original("row-2", " ", 0)],
            },
            augmentation: AugmentationTable {
                rows: vec![AugmentationRow {
                    label: "yes".into(),
                    kept: 1,
                    ..AugmentationRow::default()
                }],
            },
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
        let empty = DataSet { labels: vec!["a".into()], ..DataSet::default() };
        let three = tempfile::tempdir()?;
        empty.write(three.path())?;
        assert_eq!(DataSet::read(three.path())?, empty);
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
