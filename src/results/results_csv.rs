//! Result tables read from CSV, whose values are all text at first.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;

use super::columns::{self, Cell};
use super::results_types::{is_index, whole};
use crate::base::digests;
use crate::data::{TableError, frame};

/// The most columns of a table. Each takes memory, though it may be one byte in the file.
const MOST_COLUMNS: usize = 100_000;

/// Reads a `results.csv` into the same frame as `results.parquet`. Parameters get the narrowest
/// type that holds all their values; every other column is a metric. Rows are counted from 1,
/// without the header.
pub(super) fn read(file: &Path) -> Result<DataFrame, TableError> {
    let bytes = digests::read(file)?;
    let not_results =
        |reason: String| TableError::NotResults { file: file.display().to_string(), reason };
    if let Err(error) = std::str::from_utf8(&bytes) {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        return Err(not_results(format!("line {line} is not UTF-8")));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(not_results("it is empty".to_owned()));
    }
    // Excel has semicolons between fields where the decimal point is a comma.
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let separator = if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' };
    let columns = header.iter().filter(|&&byte| byte == separator).count() + 1;
    if columns > MOST_COLUMNS {
        return Err(not_results(format!("it has {columns} columns")));
    }
    let lines = crate::data::guard::guarded(|| {
        CsvReadOptions::default()
            .with_infer_schema_length(Some(0))
            .with_has_header(true)
            .map_parse_options(|options| options.with_separator(separator))
            .into_reader_with_file_handle(Cursor::new(bytes))
            .finish()
    });
    let lines = lines.map_err(|error| {
        let reason = error.to_string();
        not_results(reason.lines().next().unwrap_or("it is broken").to_owned())
    })?;
    let columns = lines.columns().iter().filter(|column| !is_index(column.name()));
    let columns = columns.map(|column| typed(column, &not_results));
    let columns: Vec<Column> = columns.collect::<Result<_, TableError>>()?;
    frame::frame(file, lines.height(), columns)
}

fn typed(
    column: &Column,
    not_results: &dyn Fn(String) -> TableError,
) -> Result<Column, TableError> {
    let name = column.name().clone();
    let strings = column.str().map_err(|error| not_results(error.to_string()))?;
    let values: Vec<Option<&str>> = strings.iter().collect();
    let wrong = |row: usize, value: &str, expected: &str| {
        not_results(format!("row {}: `{name}` is `{value}`, expected {expected}", row + 1))
    };
    if let Some(known) = columns::find(&name) {
        return match known.cell {
            Cell::Text(..) if known.is_full => {
                let full: Vec<&str> = values.into_iter().map(Option::unwrap_or_default).collect();
                Ok(Column::new(name, full))
            }
            Cell::Text(..) => Ok(Column::new(name, values)),
            Cell::Count(..) => {
                let parsed = parse::<Count>(&values)
                    .map_err(|row| wrong(row, values[row].unwrap_or(""), "a whole number"))?;
                let parsed: Vec<Option<u64>> =
                    parsed.into_iter().map(|count| count.map(|Count(count)| count)).collect();
                let gap = parsed.iter().position(Option::is_none).filter(|_| known.is_full);
                match gap {
                    Some(row) => Err(not_results(format!("row {} has no `{name}`", row + 1))),
                    None => Ok(Column::new(name, parsed)),
                }
            }
            Cell::Number(..) => {
                let parsed = parse::<f64>(&values)
                    .map_err(|row| wrong(row, values[row].unwrap_or(""), "a number"))?;
                Ok(Column::new(name, parsed))
            }
        };
    }
    if name.starts_with("param.") {
        let given = || values.iter().flatten().map(|value| value.trim()).filter(|v| !v.is_empty());
        if given().all(is_plain) {
            if let Ok(numbers) = parse::<i64>(&values) {
                return Ok(Column::new(name, numbers));
            }
            if let Ok(numbers) = parse::<f64>(&values) {
                return Ok(Column::new(name, numbers));
            }
        }
        return Ok(match parse::<bool>(&values) {
            Ok(truths) => Column::new(name, truths),
            Err(_) => Column::new(name, values),
        });
    }
    let parsed =
        parse::<f64>(&values).map_err(|row| wrong(row, values[row].unwrap_or(""), "a number"))?;
    Ok(Column::new(name, parsed))
}

/// Returns whether a number is written as numbers are; `007`, `nan` and numbers that no column
/// holds are texts.
fn is_plain(value: &str) -> bool {
    let digits = value.trim_start_matches('-');
    let padded = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = if is_whole { value.parse::<i64>().is_ok() } else { true };
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded && fits
}

/// A whole number, also in the form `1.0` that pandas gives columns with gaps.
struct Count(u64);

impl std::str::FromStr for Count {
    type Err = ();

    fn from_str(text: &str) -> Result<Count, ()> {
        let exact = text.parse::<u64>().ok();
        exact.or_else(|| whole(text.parse().ok()?)).map(Count).ok_or(())
    }
}

/// Parses all values, or returns the first row that cannot be.
fn parse<T: std::str::FromStr>(values: &[Option<&str>]) -> Result<Vec<Option<T>>, usize> {
    let one = |(row, value): (usize, &Option<&str>)| match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(value) => value.parse().map(Some).map_err(|_| row),
    };
    values.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::results::ResultTable;
    use crate::results::row::ResultRow;
    use serde_json::Value;

    fn message(text: &str) -> Result<String, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("results.csv");
        fs_err::write(&file, text)?;
        let error = ResultTable::read_file(&file).err().ok_or("no error")?.to_string();
        Ok(error.replace(&folder.path().display().to_string(), "<folder>"))
    }

    #[test]
    fn both_forms_hold_the_same_rows() -> Result<(), TableError> {
        let row = |seed: u64, rate: Value| ResultRow {
            run: "r, \"1\"".into(),
            pipeline: "p".into(),
            stage: "score".into(),
            seed,
            split: "test".into(),
            n: 30,
            params: [("rate".to_owned(), rate), ("on".to_owned(), Value::from(true))].into(),
            metrics: [("accuracy".to_owned(), 1.0 / 3.0)].into(),
            seconds: 0.5,
            error: (seed == 2).then(|| "a loss\nthat is NaN".to_owned()),
            ..ResultRow::default()
        };
        let folder = tempfile::tempdir()?;
        let table =
            ResultTable { rows: vec![row(1, Value::from(5e-5)), row(2, Value::from(1e-5))] };
        table.write(folder.path())?;
        assert_eq!(ResultTable::read_file(&folder.path().join("results.csv"))?, table);
        assert_eq!(ResultTable::read_file(&folder.path().join("results.parquet"))?, table);
        Ok(())
    }

    #[test]
    fn texts_that_look_like_numbers_stay_texts() -> Result<(), TableError> {
        let folder = tempfile::tempdir()?;
        for text in ["007", "nan", "inf", "-01", "18446744073709551616", "1_000"] {
            let row = ResultRow {
                params: [("fold".to_owned(), Value::from(text))].into(),
                ..ResultRow::default()
            };
            ResultTable { rows: vec![row] }.write(folder.path())?;
            let read = ResultTable::read_file(&folder.path().join("results.csv"))?;
            assert_eq!(read.rows[0].params["fold"], text);
        }
        for number in ["0", "-7", "0.5", "-0.5", "1e-5", "2.5e10"] {
            assert!(is_plain(number), "{number}");
        }
        Ok(())
    }

    #[test]
    fn what_excel_and_pandas_make_of_it_is_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let plain = "run,pipeline,stage,trial,seed,split,n,accuracy,steps,seconds,backend,device\n\
                     r,p,score,2,1,test,30,0.5,10,1.0,session,cpu\n";
        let read = |text: String| -> Result<ResultTable, Box<dyn std::error::Error>> {
            let folder = tempfile::tempdir()?;
            let file = folder.path().join("results.csv");
            fs_err::write(&file, text)?;
            Ok(ResultTable::read_file(&file)?)
        };
        let expected = read(plain.to_owned())?;
        assert_eq!(expected.rows[0].trial, Some(2));
        assert_eq!(read(plain.replace(',', ";"))?, expected);
        assert_eq!(read(format!("\u{feff}{}", plain.replace('\n', "\r\n")))?, expected);
        assert_eq!(read(plain.replace(",2,1,", ",2.0,1.0,"))?, expected);
        assert_eq!(read(plain.replace("run,p", ",run,p").replace("r,p", "0,r,p"))?, expected);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_row() -> Result<(), Box<dyn std::error::Error>> {
        let head = "run,pipeline,stage,trial,seed,split,n,accuracy,steps,seconds,backend,device\n";
        let good = "r,p,score,,1,test,30,0.5,10,1.0,session,cpu\n";
        let bad =
            |from: &str, to: &str| message(&format!("{head}{good}{}", good.replace(from, to)));
        let start = "`<folder>/results.csv` is not a table of results: ";
        assert_eq!(
            bad("30", "thirty")?,
            format!("{start}row 2: `n` is `thirty`, expected a whole number")
        );
        assert_eq!(
            bad("0.5", "high")?,
            format!("{start}row 2: `accuracy` is `high`, expected a number")
        );
        assert_eq!(
            bad(",1,test", ",1.5,test")?,
            format!("{start}row 2: `seed` is `1.5`, expected a whole number")
        );
        assert_eq!(bad(",1,test", ",,test")?, format!("{start}row 2 has no `seed`"));
        assert_eq!(message("a,b\n1,2\n")?, format!("{start}it has no column `run`"));
        assert_eq!(message("")?, format!("{start}it is empty"));
        let wide = ",".repeat(MOST_COLUMNS);
        assert_eq!(message(&wide)?, format!("{start}it has 100001 columns"));
        let odd =
            ResultTable::read_file(Path::new("results.txt")).err().map(|error| error.to_string());
        assert_eq!(
            odd.as_deref(),
            Some(
                "`results.txt` is not a table of results: its ending is neither `.parquet` nor \
                 `.csv`"
            )
        );
        Ok(())
    }
}
