//! The first value in which two tables differ.

use std::path::Path;

use polars::prelude::*;

use super::error::TableError;
use super::frame::{damaged, read_parquet};
use crate::base::cut::cut;

/// The most characters of a text that are shown.
const SHOWN: usize = 80;

/// Describes the first value, by row and then by column, in which two tables that `pipe` wrote
/// differ; `None` where they hold the same values. Rows are counted from 1.
pub fn first(stored: &Path, replayed: &Path) -> Result<Option<String>, TableError> {
    let (ours, theirs) = (read_parquet(stored)?, read_parquet(replayed)?);
    let names = |frame: &DataFrame| -> Vec<String> {
        frame.columns().iter().map(|column| column.name().to_string()).collect()
    };
    let (one, other) = (names(&ours), names(&theirs));
    if one != other {
        let lacks = |name: &&String| !other.contains(name) || !one.contains(name);
        let name = one.iter().chain(&other).find(lacks);
        return Ok(Some(match name {
            Some(name) => format!("only one of both has the column `{name}`"),
            None => "the columns are in another order".to_owned(),
        }));
    }
    let rows = ours.height().min(theirs.height());
    for row in 0..rows {
        for (a, b) in ours.columns().iter().zip(theirs.columns()) {
            let (a_value, b_value) = (
                a.get(row).map_err(|error| damaged(stored, error))?,
                b.get(row).map_err(|error| damaged(replayed, error))?,
            );
            let (shown, other) = (shown(&a_value), self::shown(&b_value));
            if whole(&a_value) != whole(&b_value) {
                let name = a.name();
                return Ok(Some(format!("row {}, `{name}`: {shown}, replayed {other}", row + 1)));
            }
        }
    }
    Ok((ours.height() != theirs.height())
        .then(|| format!("{} rows, replayed {}", ours.height(), theirs.height())))
}

/// Writes a value so that two have the same text only where they have the same bits.
fn whole(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Float32(value) => format!("{:08x}", value.to_bits()),
        AnyValue::Float64(value) => format!("{:016x}", value.to_bits()),
        AnyValue::List(items) => {
            let items = items.iter().map(|item| whole(&item));
            items.collect::<Vec<_>>().join("\u{0}")
        }
        other => other.get_str().map_or_else(|| format!("{other:?}"), str::to_owned),
    }
}

fn shown(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Float32(value) => format!("{value:?}"),
        AnyValue::Float64(value) => format!("{value:?}"),
        AnyValue::Null => "nothing".to_owned(),
        other => match other.get_str() {
            Some(text) => format!("`{}`", cut(text, SHOWN)),
            None => cut(&other.to_string(), SHOWN),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::frame::write_parquet;

    #[test]
    fn the_first_value_is_named() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let table = |file: &Path, texts: &[&str], numbers: &[f32]| {
            let columns = vec![Column::new("text".into(), texts), Column::new("p".into(), numbers)];
            let frame = DataFrame::new(texts.len(), columns);
            write_parquet(file, &mut frame.map_err(|error| damaged(file, error))?)
        };
        table(&one, &["a", "b"], &[0.1, 0.2])?;
        table(&other, &["a", "b"], &[0.1, 0.2])?;
        assert_eq!(first(&one, &other)?, None);
        table(&other, &["a", "b"], &[0.1, 0.200_000_02])?;
        let text = "row 2, `p`: 0.2, replayed 0.20000002";
        assert_eq!(first(&one, &other)?.as_deref(), Some(text));
        table(&other, &["A", "b"], &[0.1, 0.2])?;
        assert_eq!(first(&one, &other)?.as_deref(), Some("row 1, `text`: `a`, replayed `A`"));
        table(&other, &["a"], &[0.1])?;
        assert_eq!(first(&one, &other)?.as_deref(), Some("2 rows, replayed 1"));
        Ok(())
    }
}
