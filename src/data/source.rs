//! User tables (CSV, TSV, JSON lines and Parquet), read into labelled texts.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;
use serde_json::Value;

use super::guard::guarded;
use super::source_error::SourceError;

/// A labelled text from a user's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// The data row, from 1, without the header.
    pub row: usize,
    pub text: String,
    /// The label as written, without surrounding whitespace: `1` stays `1`.
    pub label: String,
}

/// Returns the rows of a table. The file's ending selects the format; `text` and `label` name the
/// columns. Numbers and booleans in the label column are read as strings in their original
/// spelling. Every row must have a text and a label.
pub fn read(file: &Path, text: &str, label: &str) -> Result<Vec<SourceRow>, SourceError> {
    let shown = file.display().to_string();
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let table = match ending.as_deref() {
        Some("csv") => delimited(file, b',', "CSV", [text, label])?,
        Some("tsv" | "tab") => delimited(file, b'\t', "TSV", [text, label])?,
        Some("jsonl" | "ndjson") => json_lines(file, [text, label])?,
        Some("parquet" | "pq") => parquet(file, [text, label])?,
        Some(other) => {
            return Err(SourceError::UnknownFormat { file: shown, found: format!("`{other}`") });
        }
        None => return Err(SourceError::UnknownFormat { file: shown, found: "none".into() }),
    };
    if table.is_empty() {
        return Err(SourceError::NoRows { file: shown });
    }
    let blank = |value: &Option<String>| value.as_ref().is_none_or(|value| value.trim().is_empty());
    let more = |column: usize| match table.iter().filter(|cells| blank(&cells[column])).count() {
        1 => "it is the only such row".to_owned(),
        count => format!("there are {count} such rows"),
    };
    let mut rows = Vec::with_capacity(table.len());
    for (index, cells) in table.iter().enumerate() {
        let (file, row) = (shown.clone(), index + 1);
        match cells {
            [Some(body), Some(class)] if !body.trim().is_empty() && !class.trim().is_empty() => {
                rows.push(SourceRow { row, text: body.clone(), label: class.trim().to_owned() });
            }
            [body, _] if blank(body) => {
                return Err(SourceError::EmptyText {
                    file,
                    row,
                    column: text.to_owned(),
                    more: more(0),
                });
            }
            _ => {
                return Err(SourceError::EmptyLabel {
                    file,
                    row,
                    column: label.to_owned(),
                    more: more(1),
                });
            }
        }
    }
    Ok(rows)
}

/// Returns the name that is most similar to a mistyped one, if any is similar.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let simple = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = simple(name);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &simple(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The text and the label of a row, as strings.
type Cells = [Option<String>; 2];

fn delimited(
    file: &Path,
    separator: u8,
    format: &'static str,
    names: [&str; 2],
) -> Result<Vec<Cells>, SourceError> {
    let bytes = fs_err::read(file)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SourceError::NoRows { file: file.display().to_string() });
    }
    let malformed = |reason: String, hint: Option<&str>| SourceError::Malformed {
        file: file.display().to_string(),
        format,
        reason,
        hint: hint.map(str::to_owned),
    };
    if let Err(error) = std::str::from_utf8(&bytes) {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        return Err(malformed(
            format!("line {line} is not UTF-8"),
            Some(
                "save the file as UTF-8; `iconv -f LATIN1 -t UTF-8` converts files of older \
                 programs",
            ),
        ));
    }
    let frame = CsvReadOptions::default()
        // Types are not inferred, so that a label `01` or `1` stays as it is.
        .with_infer_schema_length(Some(0))
        .with_has_header(true)
        .map_parse_options(|options| options.with_separator(separator))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
        .map_err(|error| {
            malformed(
                first_line(&error),
                Some("double-quote a field that contains the separator, a quote or a newline"),
            )
        })?;
    cells(file, &frame, names)
}

fn parquet(file: &Path, names: [&str; 2]) -> Result<Vec<Cells>, SourceError> {
    let malformed = |error: PolarsError| SourceError::Malformed {
        file: file.display().to_string(),
        format: "Parquet",
        reason: first_line(&error),
        hint: None,
    };
    let bytes = fs_err::read(file)?;
    let schema = guarded(|| ParquetReader::new(Cursor::new(bytes.as_slice())).schema())
        .map_err(malformed)?;
    let found: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    find_columns(file, &found, names)?;
    if LINEAGE.iter().all(|column| found.iter().any(|name| name == column)) {
        let count = generated(&bytes).map_err(malformed)?;
        if count > 0 {
            return Err(SourceError::Generated { file: file.display().to_string(), count });
        }
    }
    // Other columns may have types that this build cannot read.
    let wanted = Some(names.map(str::to_owned).to_vec());
    let frame = super::frame::parse_parquet(&bytes, wanted).map_err(malformed)?;
    cells(file, &frame, names)
}

/// The columns with which `pipe` records the origin of generated texts in its data sets.
const LINEAGE: [&str; 4] = ["split", "id", "parents", "method"];

/// Returns the number of generated texts in a data set that `pipe` wrote. Any split drawn from it
/// could separate generated texts from their originals.
fn generated(bytes: &[u8]) -> PolarsResult<usize> {
    let frame = super::frame::parse_parquet(bytes, Some(vec!["method".to_owned()]))?;
    // A user's column with that name may contain anything.
    let methods = frame.column("method").and_then(|column| column.str());
    Ok(methods.map_or(0, |methods| methods.len() - methods.null_count()))
}

/// JSON lines are read row by row, because a column may mix numbers and strings, and each must keep
/// its spelling.
fn json_lines(file: &Path, names: [&str; 2]) -> Result<Vec<Cells>, SourceError> {
    let content = fs_err::read_to_string(file)?;
    let mut rows = Vec::new();
    let mut found: Vec<String> = Vec::new();
    let lines = content.trim_start_matches('\u{feff}').lines().enumerate();
    for (line, content) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row = rows.len() + 1;
        let object: serde_json::Map<String, Value> =
            serde_json::from_str(content).map_err(|error| SourceError::Malformed {
                file: file.display().to_string(),
                format: "JSON lines",
                reason: format!("line {}: {error}", line + 1),
                hint: Some(
                    "write one object per line, such as {\"text\": \"…\", \"label\": \"…\"}".into(),
                ),
            })?;
        let mut cells = [None, None];
        for (cell, name) in cells.iter_mut().zip(names) {
            *cell = match object.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                Some(other) => {
                    return Err(SourceError::WrongValue {
                        file: file.display().to_string(),
                        row,
                        column: name.to_owned(),
                        found: if other.is_array() { "a list".into() } else { "an object".into() },
                        expected: "a string, a number or a boolean",
                    });
                }
            };
        }
        for key in object.keys().filter(|key| !names.contains(&key.as_str())) {
            if found.len() < 50 && !found.contains(key) {
                found.push(key.clone());
            }
        }
        rows.push(cells);
    }
    for (column, name) in names.iter().enumerate() {
        // A key that is in no row is a wrong name; a key that is missing in some rows is an empty
        // cell.
        if rows.iter().any(|cells: &Cells| cells[column].is_some()) {
            found.push((*name).to_owned());
        }
    }
    if !rows.is_empty() {
        find_columns(file, &found, names)?;
    }
    Ok(rows)
}

fn cells(file: &Path, frame: &DataFrame, names: [&str; 2]) -> Result<Vec<Cells>, SourceError> {
    let found: Vec<String> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    find_columns(file, &found, names)?;
    let mut columns = Vec::with_capacity(2);
    for name in names {
        let wrong = |found: String| SourceError::WrongValue {
            file: file.display().to_string(),
            row: 1,
            column: name.to_owned(),
            found: format!("a value of type `{found}`"),
            expected: "a string, a number or a boolean",
        };
        let column = frame.column(name).map_err(|error| wrong(first_line(&error)))?;
        let dtype = column.dtype().clone();
        if !(dtype == DataType::String
            || dtype == DataType::Boolean
            || dtype.is_primitive_numeric())
        {
            return Err(wrong(dtype.to_string()));
        }
        columns.push(column.cast(&DataType::String).map_err(|error| wrong(first_line(&error)))?);
    }
    (0..frame.height())
        .map(|row| {
            let mut cells = [None, None];
            for (cell, column) in cells.iter_mut().zip(&columns) {
                let strings = column.str().map_err(|error| SourceError::Malformed {
                    file: file.display().to_string(),
                    format: "a table",
                    reason: first_line(&error),
                    hint: None,
                })?;
                *cell = strings.get(row).map(str::to_owned);
            }
            Ok(cells)
        })
        .collect()
}

fn find_columns(file: &Path, found: &[String], names: [&str; 2]) -> Result<(), SourceError> {
    for name in names {
        if found.iter().any(|column| column == name) {
            continue;
        }
        let shown: Vec<String> = found.iter().map(|column| format!("`{column}`")).collect();
        return Err(SourceError::NoColumn {
            file: file.display().to_string(),
            column: name.to_owned(),
            found: if shown.is_empty() { "none".into() } else { shown.join(", ") },
            hint: match nearest(name, found.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name the columns with the keys `text` and `label` of the stage".into(),
            },
        });
    }
    Ok(())
}

/// Below the first line, polars adds advice about its own options, which does not apply here.
fn first_line(error: &PolarsError) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::error::Error;

    type Outcome = Result<(), Box<dyn Error>>;

    fn rows(name: &str, content: &[u8]) -> Result<Vec<(String, String)>, SourceError> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(name);
        fs_err::write(&file, content)?;
        Ok(read(&file, "text", "label")?.into_iter().map(|row| (row.text, row.label)).collect())
    }

    fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(text, label)| ((*text).to_owned(), (*label).to_owned())).collect()
    }

    fn message(name: &str, content: &[u8]) -> String {
        match rows(name, content) {
            Ok(rows) => format!("no error: {rows:?}"),
            Err(error) => {
                let help = miette::Diagnostic::help(&error).map(|help| format!(" / {help}"));
                format!("{error}{}", help.unwrap_or_default())
            }
        }
    }

    #[test]
    fn csv_keeps_quotes_newlines_commas_and_labels_as_written() -> Outcome {
        let content = "\u{feff}label,text,extra\r\n1,\"a, \"\"b\"\"\nc\",x\r\n01,second,\r\n\
                       true,  third 😀,z\r\n1.0,NA,z";
        assert_eq!(
            rows("a.csv", content.as_bytes())?,
            pairs(&[("a, \"b\"\nc", "1"), ("second", "01"), ("  third 😀", "true"), ("NA", "1.0")])
        );
        Ok(())
    }

    #[test]
    fn csv_with_lone_line_feeds_and_the_label_last() -> Outcome {
        assert_eq!(
            rows("a.CSV", b"text,label\none,a\ntwo,b")?,
            pairs(&[("one", "a"), ("two", "b")])
        );
        assert_eq!(
            rows("a.csv", b"text,label\r\none,a\r\ntwo,b\r\n")?,
            pairs(&[("one", "a"), ("two", "b")])
        );
        Ok(())
    }

    #[test]
    fn tsv_and_json_lines() -> Outcome {
        assert_eq!(rows("a.tsv", b"text\tlabel\na, b\t0\n")?, pairs(&[("a, b", "0")]));
        let content = "{\"text\": \"a\\nb\", \"label\": 1, \"x\": []}\n\n{\"label\": \"yes\", \
                       \"text\": \"c\"}\n{\"label\": true, \"text\": 5}";
        assert_eq!(
            rows("a.jsonl", content.as_bytes())?,
            pairs(&[("a\nb", "1"), ("c", "yes"), ("5", "true")])
        );
        Ok(())
    }

    #[test]
    fn parquet_with_whole_numbers_as_labels() -> Outcome {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.parquet");
        let columns = vec![
            Column::new("text".into(), ["a", "b"]),
            Column::new("label".into(), [1_i64, 0]),
            Column::new("other".into(), [0.5_f64, 1.0]),
        ];
        let mut frame = DataFrame::new(2, columns)?;
        crate::data::frame::write_parquet(&file, &mut frame)?;
        let labels: Vec<String> =
            read(&file, "text", "label")?.into_iter().map(|row| row.label).collect();
        assert_eq!(labels, ["1", "0"]);
        let missing = read(&file, "body", "label").map_err(|error| error.to_string());
        let Err(missing) = missing else { panic!("there is no column `body`") };
        assert!(
            missing.contains("no column `body`; it has `text`, `label`, `other`"),
            "{missing:?}"
        );
        fs_err::write(&file, b"PAR1 not really PAR1")?;
        assert!(matches!(read(&file, "text", "label"), Err(SourceError::Malformed { .. })));
        Ok(())
    }

    #[test]
    fn every_error_names_the_row_or_the_column() {
        let ends = |text: String, part: &str| assert!(text.contains(part), "{text}");
        ends(
            message("a.csv", b"txt,label\na,b\n"),
            "no column `text`; it has `txt`, `label` / did you mean `txt`?",
        );
        ends(
            message("a.jsonl", b"{\"Text\":\"a\",\"label\":1}\n"),
            "no column `text`; it has `Text`, `label` / did you mean `Text`?",
        );
        ends(
            message("a.csv", b"text,label\na,x\n  ,y\n,z\n"),
            "no text in row 2: `text` is empty / remove the row or fill it; there are 2 such rows",
        );
        ends(message("a.csv", b"text,label\na,x\nb\n"), "no label in row 2");
        ends(message("a.csv", b"text,label\na,x\nb,\"\"\n"), "no label in row 2");
        ends(
            message("a.jsonl", b"{\"text\":\"a\",\"label\":null}\n{\"text\":\"a\",\"label\":1}"),
            "no label in row 1",
        );
        ends(message("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\n"), "line 2: ");
        ends(message("a.jsonl", b"{\"text\":[],\"label\":1}\n"), "has a list in row 1 of `text`");
        ends(message("a.csv", b"text,label\n"), "has no rows");
        ends(message("a.csv", b""), "has no rows");
        ends(message("a.jsonl", b""), "has no rows");
        ends(message("a.csv", b"text,label\na,x,y\n"), "cannot be read as CSV");
        ends(message("a.csv", b"text,label\n\xe9t\xe9,x\n"), "line 2 is not UTF-8");
        ends(message("a.xlsx", b""), "ending `xlsx`; expected");
        ends(message("a", b""), "ending none; expected");
    }

    #[test]
    fn a_damaged_parquet_file_never_panics() -> Outcome {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.parquet");
        let columns = vec![
            Column::new("text".into(), ["a", "b", "c"]),
            Column::new("label".into(), ["x", "y", "x"]),
        ];
        crate::data::frame::write_parquet(&file, &mut DataFrame::new(3, columns)?)?;
        let whole = fs_err::read(&file)?;
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            fs_err::write(&file, &bytes)?;
            // With a changed letter of a text the file is still a table; the read must only not
            // panic.
            let _ = read(&file, "text", "label");
        }
        for length in (0..whole.len()).step_by(7) {
            fs_err::write(&file, &whole[..length])?;
            assert!(read(&file, "text", "label").is_err(), "cut at {length}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in "(text|label|,|\t|\"|\n|\r|\\{|\\}|:|a|\0|é|1){0,60}",
            header: bool,
        ) {
            let header = if header { "text,label\n" } else { "" };
            for name in ["a.csv", "a.tsv", "a.jsonl"] {
                if let Ok(rows) = rows(name, format!("{header}{bytes}").as_bytes()) {
                    prop_assert!(rows.iter().all(|(text, _)| !text.trim().is_empty()));
                    prop_assert!(rows.iter().all(|(_, label)| !label.is_empty()));
                }
            }
        }
    }
}
