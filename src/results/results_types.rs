//! Result tables that other programs saved, in `pipe`'s own types: pandas has floats for whole
//! numbers with gaps, and no type at all for an empty column.

use polars::prelude::*;

use super::columns::{self, Cell};

/// Returns the table with the type of each column that `pipe` would give it, and without the index
/// of pandas.
///
/// # Errors
///
/// Says which value of which row does not fit. Rows are counted from 1.
pub(super) fn conformed(table: &DataFrame) -> Result<DataFrame, String> {
    let columns = table.columns().iter().filter(|column| !is_index(column.name()));
    let columns = columns.map(conformed_column).collect::<Result<Vec<Column>, String>>()?;
    DataFrame::new(table.height(), columns).map_err(|error| error.to_string())
}

/// Says whether this is the name that pandas gives the numbers of its rows.
pub(super) fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed: ") || name.starts_with("__index_level_")
}

fn conformed_column(column: &Column) -> Result<Column, String> {
    let name = column.name();
    match columns::find(name).map(|known| &known.cell) {
        Some(Cell::Text(..)) => cast(column, &DataType::String),
        Some(Cell::Count(..)) => counts(column),
        Some(Cell::Number(..)) => numbers(column),
        None if name.starts_with("param.") => match column.dtype() {
            DataType::Int64 | DataType::Float64 | DataType::Boolean | DataType::String => {
                Ok(column.clone())
            }
            other if other.is_integer() => cast(column, &DataType::Int64),
            other if other.is_float() => cast(column, &DataType::Float64),
            _ => cast(column, &DataType::String),
        },
        None => numbers(column),
    }
}

fn numbers(column: &Column) -> Result<Column, String> {
    match column.dtype() {
        other if other.is_primitive_numeric() || other.is_null() => {
            cast(column, &DataType::Float64)
        }
        other => Err(format!("`{}` has the type `{other}`, expected numbers", column.name())),
    }
}

fn counts(column: &Column) -> Result<Column, String> {
    let name = column.name();
    match column.dtype() {
        DataType::UInt64 => Ok(column.clone()),
        other if other.is_null() => cast(column, &DataType::UInt64),
        other if other.is_integer() => {
            let whole = cast(column, &DataType::Int64)?;
            let values = whole.i64().map_err(|error| error.to_string())?;
            let counts = values.iter().enumerate().map(|(row, value)| match value {
                Some(value) => u64::try_from(value).map(Some).map_err(|_| wrong(name, row, value)),
                None => Ok(None),
            });
            Ok(Column::new(name.clone(), counts.collect::<Result<Vec<Option<u64>>, _>>()?))
        }
        other if other.is_float() => {
            let numbers = cast(column, &DataType::Float64)?;
            let values = numbers.f64().map_err(|error| error.to_string())?;
            let counts = values.iter().enumerate().map(|(row, value)| match value {
                Some(value) if !value.is_nan() => {
                    whole(value).map(Some).ok_or_else(|| wrong(name, row, value))
                }
                _ => Ok(None),
            });
            Ok(Column::new(name.clone(), counts.collect::<Result<Vec<Option<u64>>, _>>()?))
        }
        other => Err(format!("`{name}` has the type `{other}`, expected whole numbers")),
    }
}

/// Returns a number as the count that it is exactly.
pub(super) fn whole(value: f64) -> Option<u64> {
    // Beyond 53 bits a float may stand for several counts.
    let is_count = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value);
    is_count.then_some(value as u64)
}

fn wrong(name: &str, row: usize, value: impl std::fmt::Display) -> String {
    format!("row {}: `{name}` is `{value}`, expected a whole number", row + 1)
}

fn cast(column: &Column, to: &DataType) -> Result<Column, String> {
    column.strict_cast(to).map_err(|error| {
        let reason = error.to_string();
        format!("`{}`: {}", column.name(), reason.lines().next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: Vec<Column>) -> Result<DataFrame, String> {
        DataFrame::new(2, columns).map_err(|error| error.to_string())
    }

    #[test]
    fn what_pandas_makes_of_a_table_is_undone() -> Result<(), String> {
        let saved = table(vec![
            Column::new("seed".into(), [1_i64, 2]),
            Column::new("trial".into(), [Some(0.0), None]),
            Column::new("parts".into(), [2.0, f64::NAN]),
            Column::full_null("error".into(), 2, &DataType::Null),
            Column::new("param.rate".into(), [1.0_f32, 2.0]),
            Column::new("accuracy".into(), [1_i32, 0]),
            Column::new("__index_level_0__".into(), [0_i64, 1]),
        ])?;
        let expected = table(vec![
            Column::new("seed".into(), [1_u64, 2]),
            Column::new("trial".into(), [Some(0_u64), None]),
            Column::new("parts".into(), [Some(2_u64), None]),
            Column::new("error".into(), [None::<&str>, None]),
            Column::new("param.rate".into(), [1.0, 2.0]),
            Column::new("accuracy".into(), [1.0, 0.0]),
        ])?;
        let found = conformed(&saved)?;
        assert!(found.equals_missing(&expected), "{found:?}");
        assert_eq!(found.dtypes(), expected.dtypes());
        Ok(())
    }

    #[test]
    fn what_is_no_count_is_named() -> Result<(), String> {
        let said = |column: Column| -> Result<String, String> {
            Ok(conformed(&table(vec![column])?).err().unwrap_or_default())
        };
        let half = said(Column::new("seed".into(), [1.0, 1.5]))?;
        assert_eq!(half, "row 2: `seed` is `1.5`, expected a whole number");
        let negative = said(Column::new("n".into(), [-1_i64, 1]))?;
        assert_eq!(negative, "row 1: `n` is `-1`, expected a whole number");
        let text = said(Column::new("note".into(), ["a", "b"]))?;
        assert_eq!(text, "`note` has the type `str`, expected numbers");
        assert_eq!(whole(9_007_199_254_740_994.0), None);
        Ok(())
    }

    #[test]
    fn a_file_that_pandas_saved_holds_the_same_rows() -> Result<(), crate::data::TableError> {
        use crate::results::results::ResultTable;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tables");
        let before = ResultTable::read_file(&folder.join("results.csv"))?;
        let after = ResultTable::read_file(&folder.join("results_of_pandas.parquet"))?;
        assert_eq!((before.rows.len(), before.rows[1].parts), (2, Some(2)));
        assert_eq!(after, before);
        Ok(())
    }
}
