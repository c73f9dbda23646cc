//! Counts of generated texts by outcome, method and class.

use std::path::Path;

use polars::prelude::*;

use super::error::TableError;
use super::frame::{self, Columns};
use super::tag::{self, Tag};
use crate::base::files::AtomicFiles;

/// The outcomes of the texts requested from the methods of a data set's augmentation.
///
/// On the disk: `augmentation.parquet`; a run's folder has the rows of all stages, and
/// `augmentation.csv` for other programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AugmentationTable {
    pub rows: Vec<AugmentationRow>,
}

/// The outcomes of the texts of one method and class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AugmentationRow {
    /// The number of this augmentation of the data set, from 1: one stage may follow another.
    pub pass: u64,
    /// The place of the method in its stage's list, from 1.
    pub entry: u64,
    pub method: String,
    /// The name of the class.
    pub label: String,
    /// The number of requested texts.
    pub asked: u64,
    /// Requested texts that were not made because there was nothing to change.
    pub unchanged: u64,
    /// Generated texts that also occur in dev or test.
    pub leaks: u64,
    /// Generated texts that also occur in train.
    pub repeats: u64,
    /// New texts that are too far from their class.
    pub too_far: u64,
    /// New texts that are nearer to another class.
    pub astray: u64,
    /// Texts that were added to train.
    pub kept: u64,
    /// The sum of the added texts' distances to their class; `None` without a quality filter.
    pub distance_sum: Option<f64>,
    /// The sum over the added texts of the share of words in the longest run copied from one
    /// original.
    pub copied_sum: f64,
}

/// Summary figures of several rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AugmentationSummary {
    /// Texts that were added to train.
    pub generated: u64,
    /// The share of new texts that pass the quality filter; `None` without a filter or without new
    /// texts.
    pub accepted_share: Option<f64>,
    /// The mean distance of added texts to their class, the "augmentation loss"; `None` without a
    /// quality filter or without added texts.
    pub augmentation_loss: Option<f64>,
    /// The mean share of an added text's words in its longest run copied from one original; `None`
    /// without added texts.
    pub copy_rate: Option<f64>,
}

impl AugmentationSummary {
    /// Summarises rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a AugmentationRow>) -> AugmentationSummary {
        let (mut kept, mut judged, mut passed, mut measured) = (0, 0, 0, 0);
        let (mut distance, mut copied) = (0.0, 0.0);
        for row in rows {
            kept += row.kept;
            copied += row.copied_sum;
            if let Some(sum) = row.distance_sum {
                judged += row.kept + row.too_far + row.astray;
                passed += row.kept;
                measured += row.kept;
                distance += sum;
            }
        }
        let share = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        AugmentationSummary {
            generated: kept,
            accepted_share: share(passed as f64, judged),
            augmentation_loss: share(distance, measured),
            copy_rate: share(copied, kept),
        }
    }
}

const PARQUET: &str = "augmentation.parquet";
const CSV: &str = "augmentation.csv";

impl AugmentationTable {
    /// Returns the rows of the last augmentation.
    pub fn last_pass(&self) -> impl Iterator<Item = &AugmentationRow> {
        let last = self.rows.iter().map(|row| row.pass).max();
        self.rows.iter().filter(move |row| Some(row.pass) == last)
    }

    /// Writes `augmentation.parquet` into `folder` if there are rows.
    pub fn write(&self, folder: &Path) -> Result<(), TableError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let file = folder.join(PARQUET);
        let rows: Vec<&AugmentationRow> = self.rows.iter().collect();
        frame::write_parquet(&file, &mut frame::frame(&file, rows.len(), columns(&rows))?)
    }

    /// Reads the files of [`AugmentationTable::write`].
    pub fn read(folder: &Path) -> Result<AugmentationTable, TableError> {
        let file = folder.join(PARQUET);
        if !file.is_file() {
            return Ok(AugmentationTable::default());
        }
        let table = frame::read_parquet(&file)?;
        let columns = Columns { file: &file, frame: &table };
        let counts = |name: &str| columns.full_integers(name);
        let (methods, labels) = (columns.full_strings("method")?, columns.full_strings("class")?);
        let (passes, entries, asked) = (counts("pass")?, counts("entry")?, counts("asked")?);
        let (unchanged, leaks, repeats) =
            (counts("unchanged")?, counts("leaks")?, counts("repeats")?);
        let (too_far, astray, kept) = (counts("too_far")?, counts("astray")?, counts("kept")?);
        let (distances, copied) =
            (columns.numbers("distance_sum")?, columns.full_numbers("copied_sum")?);
        let row = |at: usize| AugmentationRow {
            pass: passes[at],
            entry: entries[at],
            method: methods[at].clone(),
            label: labels[at].clone(),
            asked: asked[at],
            unchanged: unchanged[at],
            leaks: leaks[at],
            repeats: repeats[at],
            too_far: too_far[at],
            astray: astray[at],
            kept: kept[at],
            distance_sum: distances[at],
            copied_sum: copied[at],
        };
        Ok(AugmentationTable { rows: (0..table.height()).map(row).collect() })
    }
}

/// Adds a run's `augmentation.parquet` and `augmentation.csv` to `files`: the rows of every stage
/// with its `stage`, `trial` and `seed`. Adds nothing if nothing was augmented.
pub fn add_run(
    files: &mut AtomicFiles,
    blocks: &[(Tag, Vec<AugmentationRow>)],
) -> Result<(), TableError> {
    let rows: Vec<&AugmentationRow> = blocks.iter().flat_map(|(_, rows)| rows).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut all = tag::columns(blocks.iter().map(|(tag, rows)| (tag, rows.len())));
    all.extend(columns(&rows));
    let file = files.folder().join(PARQUET);
    let mut table = frame::frame(&file, rows.len(), all)?;
    files.add(PARQUET, &frame::parquet_bytes(&file, &mut table)?)?;
    let file = files.folder().join(CSV);
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes)
        .finish(&mut table)
        .map_err(|error| frame::unwritable(&file, &error))?;
    Ok(files.add(CSV, &bytes)?)
}

/// The columns: counts, then the figures derived from them.
fn columns(rows: &[&AugmentationRow]) -> Vec<Column> {
    let counts = |name: &str, of: fn(&AugmentationRow) -> u64| {
        Column::new(name.into(), rows.iter().map(|row| of(row)).collect::<Vec<u64>>())
    };
    let texts = |name: &str, of: fn(&AugmentationRow) -> &str| {
        Column::new(name.into(), rows.iter().map(|row| of(row)).collect::<Vec<&str>>())
    };
    let figures = |name: &str, of: fn(AugmentationSummary) -> Option<f64>| {
        Column::new(
            name.into(),
            rows.iter()
                .map(|row| of(AugmentationSummary::of([*row])))
                .collect::<Vec<Option<f64>>>(),
        )
    };
    vec![
        counts("pass", |row| row.pass),
        counts("entry", |row| row.entry),
        texts("method", |row| &row.method),
        texts("class", |row| &row.label),
        counts("asked", |row| row.asked),
        counts("unchanged", |row| row.unchanged),
        counts("leaks", |row| row.leaks),
        counts("repeats", |row| row.repeats),
        counts("too_far", |row| row.too_far),
        counts("astray", |row| row.astray),
        counts("kept", |row| row.kept),
        figures("accepted_share", |summary| summary.accepted_share),
        figures("mean_distance", |summary| summary.augmentation_loss),
        figures("copy_rate", |summary| summary.copy_rate),
        Column::new(
            "distance_sum".into(),
            rows.iter().map(|row| row.distance_sum).collect::<Vec<_>>(),
        ),
        Column::new("copied_sum".into(), rows.iter().map(|row| row.copied_sum).collect::<Vec<_>>()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, distance_sum: Option<f64>) -> AugmentationRow {
        AugmentationRow {
            pass: 1,
            entry: 1,
            method: "eda".into(),
            label: label.into(),
            asked: 20,
            unchanged: 1,
            leaks: 2,
            repeats: 3,
            too_far: 4,
            astray: 2,
            kept: 8,
            distance_sum,
            copied_sum: 4.0,
        }
    }

    #[test]
    fn reads_back_what_it_wrote_and_sums_up() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let table = AugmentationTable { rows: vec![row("a", Some(4.0)), row("b, c", None)] };
        table.write(folder.path())?;
        assert_eq!(AugmentationTable::read(folder.path())?, table);
        let summary = AugmentationSummary::of(&table.rows);
        assert_eq!((summary.generated, summary.copy_rate), (16, Some(0.5)));
        assert_eq!(summary.accepted_share, Some(8.0 / 14.0), "unfiltered rows have no share");
        assert_eq!(summary.augmentation_loss, Some(0.5));
        assert_eq!(AugmentationSummary::of([]), AugmentationSummary::default());
        Ok(())
    }

    fn write_run(folder: &Path, blocks: &[(Tag, Vec<AugmentationRow>)]) -> Result<(), TableError> {
        let mut files = AtomicFiles::new(folder);
        add_run(&mut files, blocks)?;
        Ok(files.commit()?)
    }

    #[test]
    fn nothing_is_written_where_nothing_was_made() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        AugmentationTable::default().write(folder.path())?;
        write_run(folder.path(), &[])?;
        assert_eq!(fs_err::read_dir(folder.path())?.count(), 0);
        assert_eq!(AugmentationTable::read(folder.path())?, AugmentationTable::default());
        Ok(())
    }

    #[test]
    fn a_runs_table_says_where_its_rows_come_from() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let tag = Tag { stage: "more".into(), trial: None, seed: 13 };
        write_run(folder.path(), &[(tag, vec![row("b, c", Some(4.0))])])?;
        let csv = fs_err::read_to_string(folder.path().join(CSV))?;
        assert_eq!(
            csv.lines().nth(1),
            Some("more,,13,1,1,eda,\"b, c\",20,1,2,3,4,2,8,0.5714285714285714,0.5,0.5,4.0,4.0"),
            "{csv}"
        );
        Ok(())
    }
}
