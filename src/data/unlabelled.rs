//! Texts without labels, beside the splits of a data set.

use std::path::Path;

use polars::prelude::*;

use super::error::TableError;
use super::frame::{self, Columns};
use super::text::Text;

/// A text whose class is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlabelled {
    /// Unique in the data set and the same in every run.
    pub id: String,
    pub text: Text,
}

const FILE: &str = "unlabelled.parquet";
const SECOND: &str = "second";

/// Writes `unlabelled.parquet` (`id`, `text` and, where there are pairs, `second`) into a folder,
/// unless there are no texts.
pub(super) fn write(texts: &[Unlabelled], folder: &Path) -> Result<(), TableError> {
    if texts.is_empty() {
        return Ok(());
    }
    let file = folder.join(FILE);
    let column = |name: &str, of: fn(&Unlabelled) -> &str| {
        Column::new(name.into(), texts.iter().map(of).collect::<Vec<&str>>())
    };
    let seconds: Vec<Option<&str>> =
        texts.iter().map(|unlabelled| unlabelled.text.second.as_deref()).collect();
    let mut columns = vec![
        column("id", |unlabelled| &unlabelled.id),
        column("text", |unlabelled| &unlabelled.text.first),
    ];
    if seconds.iter().any(Option::is_some) {
        columns.push(Column::new(SECOND.into(), seconds));
    }
    frame::write_parquet(&file, &mut frame::frame(&file, texts.len(), columns)?)
}

/// Reads the file of [`write()`]. Without it, there are no texts.
pub(super) fn read(folder: &Path) -> Result<Vec<Unlabelled>, TableError> {
    let file = folder.join(FILE);
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let table = frame::read_parquet(&file)?;
    let columns = Columns { file: &file, frame: &table };
    let (ids, texts) = (columns.full_strings("id")?, columns.full_strings("text")?);
    let seconds = match table.column(SECOND) {
        Ok(_) => columns.strings(SECOND)?,
        Err(_) => vec![None; table.height()],
    };
    let rows = ids.into_iter().zip(texts).zip(seconds);
    let text = |((id, first), second)| Unlabelled { id, text: Text { first, second } };
    Ok(rows.map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_back() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        write(&[], folder.path())?;
        assert!(!folder.path().join(FILE).exists());
        assert_eq!(read(folder.path())?, []);
        let mut texts = vec![
            Unlabelled { id: "unlabelled-2".into(), text: "one 😀".into() },
            Unlabelled { id: "row-1".into(), text: "two".into() },
        ];
        write(&texts, folder.path())?;
        assert_eq!(read(folder.path())?, texts);
        texts[1].text.second = Some("three".into());
        write(&texts, folder.path())?;
        assert_eq!(read(folder.path())?, texts);
        Ok(())
    }
}
