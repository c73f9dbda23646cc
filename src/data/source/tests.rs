//! Tests of tables as a whole; the figures are those of pandas, Python's csv and pyarrow.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use polars::prelude::{Column, DataFrame};
use proptest::prelude::*;
use serde_json::Value;

use super::read::{Table, read};
use super::remark::Remark;
use super::settings::{Empty, Quoting, Reading};
use super::{Format, SourceError};

type Outcome = Result<(), Box<dyn Error>>;

const READING: Reading<'static> = Reading::of("text", "label");

fn table(name: &str, content: &[u8], reading: &Reading<'_>) -> Result<Table, SourceError> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(name);
    fs_err::write(&file, content)?;
    read(&file, reading)
}

fn pairs_of(table: &Table) -> Vec<(&str, &str)> {
    table.rows.iter().map(|row| (row.text.as_str(), row.label.as_str())).collect()
}

/// Reads a file with nothing said about it.
fn is(name: &str, content: impl AsRef<[u8]>, expected: &[(&str, &str)]) -> Outcome {
    is_with(&READING, name, content, expected)
}

fn is_with(
    reading: &Reading<'_>,
    name: &str,
    content: impl AsRef<[u8]>,
    expected: &[(&str, &str)],
) -> Outcome {
    let table =
        table(name, content.as_ref(), reading).map_err(|error| format!("{name}: {error}"))?;
    assert_eq!(pairs_of(&table), expected, "{name}");
    Ok(())
}

fn message_with(reading: &Reading<'_>, name: &str, content: &[u8]) -> String {
    match table(name, content, reading) {
        Ok(table) => format!("no error: {:?}", pairs_of(&table)),
        Err(error) => {
            let help = miette::Diagnostic::help(&error).map(|help| format!(" / {help}"));
            format!("{error}{}", help.unwrap_or_default())
        }
    }
}

fn message(name: &str, content: &[u8]) -> String {
    message_with(&READING, name, content)
}

#[track_caller]
fn says(text: String, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

fn quoting(quoting: Quoting) -> Reading<'static> {
    Reading { quoting: Some(quoting), ..READING }
}

fn in_encoding(name: &str) -> Result<Reading<'static>, String> {
    let encoding = name.parse().map_err(|()| format!("{name} is unknown"))?;
    Ok(Reading { encoding: Some(encoding), ..READING })
}

fn witness() -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_str(include_str!("../../../tests/data/tables.json"))?)
}

/// Returns the rows of a recorded table.
fn recorded(case: &Value) -> Vec<(&str, &str)> {
    let rows = case["rows"].as_array().into_iter().flatten();
    rows.map(|row| (row[0].as_str().unwrap_or("?"), row[1].as_str().unwrap_or("?"))).collect()
}

#[test]
fn delimited_files_are_read_as_pandas_and_csv_read_them() -> Outcome {
    let witness = witness()?;
    let cases = witness["delimited"].as_array().ok_or("no cases")?;
    assert!(cases.len() > 10);
    for case in cases {
        let text = |key: &str| case[key].as_str().ok_or("no such text");
        let quotes = if case["quoted"] == true { Quoting::Double } else { Quoting::None };
        let reading = Reading {
            separator: text("separator")?.parse().ok(),
            empty: Empty::Drop,
            ..quoting(quotes)
        };
        let mut rows = recorded(case);
        rows.retain(|(text, _)| !text.is_empty());
        is_with(&reading, "a.csv", text("content")?, &rows)
            .map_err(|error| format!("{}: {error}", case["name"]))?;
    }
    Ok(())
}

#[test]
fn parquet_files_are_read_as_pyarrow_reads_them() -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tables");
    let witness = witness()?;
    let cases = witness["parquet"].as_array().ok_or("no cases")?;
    assert!(cases.len() > 15);
    for case in cases {
        let name = case["name"].as_str().ok_or("no name")?;
        let table = read(&folder.join(format!("{name}.parquet")), &READING)
            .map_err(|error| format!("{name}: {error}"))?;
        assert_eq!(pairs_of(&table), recorded(case), "{name}");
        assert_eq!(table.rows[1].place.to_string(), "2", "there are no lines");
    }
    Ok(())
}

#[test]
fn csv_keeps_quotes_newlines_commas_and_labels_as_written() -> Outcome {
    let content = "\u{feff}label,text,extra\r\n1,\"a, \"\"b\"\"\nc\",x\r\n01,second,\r\ntrue,  third \
                   😀,z\r\n1.0,NA,z";
    let expected = [("a, \"b\"\nc", "1"), ("second", "01"), ("  third 😀", "true"), ("NA", "1.0")];
    is("a.csv", content, &expected)?;
    is("a.CSV", "text,label\none,a\ntwo,b", &[("one", "a"), ("two", "b")])?;
    is("a.csv", "text,label\r\none,a\r\ntwo,b\r\n", &[("one", "a"), ("two", "b")])
}

#[test]
fn json_lines_keep_the_spelling_of_numbers() -> Outcome {
    let content = "{\"text\": \"a\\nb\", \"label\": 1, \"x\": []}\n\n{\"label\": \"yes\", \"text\": \
                   \"c\"}\n{\"label\": true, \"text\": 5}";
    is("a.jsonl", content, &[("a\nb", "1"), ("c", "yes"), ("5", "true")])?;
    // As numbers of the machine, the first two are equal.
    let content = "{\"text\":\"a\",\"label\":100000000000000000001}\n{\"text\":\"b\",\"label\": \
                   100000000000000000002 }\n{\"text\":\"c\",\"label\":1e5}\n{\"text\":[\"d\"],\
                   \"label\":1.50}";
    let expected = [
        ("a", "100000000000000000001"),
        ("b", "100000000000000000002"),
        ("c", "1e5"),
        ("d", "1.50"),
    ];
    is("a.ndjson", content, &expected)
}

#[test]
fn tsv_has_no_quotes_where_they_would_join_rows_or_are_stray() -> Outcome {
    // GLUE's kind: quotes are letters.
    let stray = "text\tlabel\n\"twas cold\ta\nsun\tb\nthe \"big\" sea\tb\n\"ice\" here\ta\n";
    let rows =
        [("\"twas cold", "a"), ("sun", "b"), ("the \"big\" sea", "b"), ("\"ice\" here", "a")];
    is("a.tsv", stray, &rows)?;
    let balanced = "label\ttext\na\t\"we met\nb\tnothing\na\tand parted\"\n";
    is("a.tsv", balanced, &[("\"we met", "a"), ("nothing", "b"), ("and parted\"", "a")])?;
    // Excel's kind, known by its newlines, tabs or header in quotes.
    let excel = "text\tlabel\n\"one\ntwo \"\"three\"\"\"\tx\n\"a\tb\"\ty\n";
    let rows = [("one\ntwo \"three\"", "x"), ("a\tb", "y")];
    is("a.tsv", excel, &rows)?;
    let said = table("a.tsv", excel.as_bytes(), &READING)?.remarks;
    assert!(
        matches!(&said[..], [Remark::Note(line)] if line.contains("quotes around its fields")),
        "{said:?}"
    );
    let excel = "label\ttext\tnote\nx\t\"one\ntwo\"\t\ny\tthree\t\n";
    is("a.tsv", excel, &[("one\ntwo", "x"), ("three", "y")])?;
    is("a.tab", "\"text\"\t\"label\"\n\"a, b\"\t\"0\"\n", &[("a, b", "0")])?;
    // Excel's own ending has Excel's quotes.
    is("a.txt", "text\tlabel\n\"a, \"\"b\"\"\"\tx\n", &[("a, \"b\"", "x")])?;
    // In other columns than the two, both ways are the same.
    is("a.tsv", "text\tlabel\tx\na\tb\t\"c\"\n", &[("a", "b")])?;
    is("a.tsv", "text\tlabel\na, b\t0\n", &[("a, b", "0")])
}

#[test]
fn quotes_that_can_be_meant_in_two_ways_are_refused() -> Outcome {
    let tsv = "text\tlabel\nplain\ty\n\"a \"\"b\"\" c\"\tx\n";
    says(
        message("a.tsv", tsv.as_bytes()),
        &["two ways: the quotes in line 3", "`\"a \"\"b\"\" c\"`", "`quoting: double`", "GLUE"],
    );
    let quoted = [("plain", "y"), ("a \"b\" c", "x")];
    is_with(&quoting(Quoting::Double), "a.tsv", tsv, &quoted)?;
    let letters = [("plain", "y"), ("\"a \"\"b\"\" c\"", "x")];
    is_with(&quoting(Quoting::None), "a.tsv", tsv, &letters)?;
    // Neither way gives rows of equal length.
    says(
        message("a.tsv", b"text\tlabel\tx\na\tb\n\"c\td\te\nf\"\tg\n"),
        &["two ways: the quotes in line 3"],
    );
    // A comma after each line, so that both ways give sound rows of two fields.
    let csv = "text,label\n\"we met,a\nnothing,b\nand parted\",a\n";
    says(
        message("a.csv", csv.as_bytes()),
        &["two ways: by the quotes, lines 2 to 4 are one row", "`quoting: none`"],
    );
    // A quote that stands twice within the lines shows what is meant, however lines end.
    for end in ["\n", "\r\n", "\r"] {
        let shown = csv.replace("nothing", "\"\"nothing\"\"").replace('\n', end);
        let joined = format!("we met,a{end}\"nothing\",b{end}and parted");
        is("a.csv", shown, &[(&joined, "a")])?;
        let elsewhere = format!("{csv}zu,\"\"\"b\"\"\"\n").replace('\n', end);
        says(message("a.csv", elsewhere.as_bytes()), &["two ways: by the quotes, lines 2 to 4"]);
    }
    let letters = [("\"we met", "a"), ("nothing", "b"), ("and parted\"", "a")];
    is_with(&quoting(Quoting::None), "a.csv", csv, &letters)
}

#[test]
fn stray_quotes_are_named_with_their_line() {
    says(
        message("a.csv", b"text,label\nsun,b\n\n\"ice\" here,a\n"),
        &["cannot be read as CSV: in line 4, a field goes on", "twice", "`quoting: none`"],
    );
    says(
        message("a.csv", b"text,label\n\"ice here,a\nsun,b\n"),
        &["in line 2, a quote opens a field and nothing closes it"],
    );
    says(
        message("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"a \"b\" c\",\"label\":1}\n"),
        &["line 2: expected", "column 13", "a quote within a text as \\\""],
    );
    says(
        message("a.csv", b"text,label\na,x\n\nb,y,z\n"),
        &["line 4 has 3 fields, the header has 2"],
    );
}

#[test]
fn what_excel_and_sheets_export_is_read_as_it_comes() -> Outcome {
    let rows = [("grün, ja", "a"), ("rot", "b")];
    // "CSV UTF-8" of Excel where a comma is the decimal point.
    is("a.csv", "\u{feff}text;label\r\ngrün, ja;a\r\nrot;b\r\n", &rows)?;
    is("a.csv", "sep=;\r\ntext;label\r\ngrün, ja;a\r\nrot;b\r\n", &rows)?;
    is("a.csv", "\"sep=\t\"\ntext\tlabel\ngrün, ja\ta\nrot\tb\n", &rows)?;
    let said = table("a.csv", b"id;text;label\n1;a,b;c\n", &READING)?.remarks;
    assert!(
        matches!(&said[..], [Remark::Note(line)] if line.ends_with("has `;` between its fields"))
    );
    // "Unicode Text" of Excel, and what other programs make of it.
    let text = "text\tlabel\r\n\"grün, ja\"\ta\r\nrot\tb\r\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    is("a.txt", [b"\xff\xfe", &little[..]].concat(), &rows)?;
    is("a.txt", [b"\xfe\xff", &big[..]].concat(), &rows)?;
    is("a.txt", &little, &rows)?;
    is("a.txt", &big, &rows)?;
    // Sheets: TSV without quotes, CSV with them.
    is("a.tsv", "text\tlabel\r\ngrün, ja\ta\r\nrot\tb", &rows)?;
    is("a.csv", "text,label\r\n\"grün, ja\",a\r\nrot,b", &rows)
}

#[test]
fn a_first_line_and_a_key_that_contradict_each_other() {
    let reading = Reading { separator: ",".parse().ok(), ..READING };
    says(
        message_with(&reading, "a.csv", b"sep=;\ntext;label\na;b\n"),
        &["line 1 says `sep=;`, and the key `separator` says `,`"],
    );
}

#[test]
fn encodings_are_read_where_they_are_known_or_named() -> Outcome {
    let rows = [("caf\u{e9} \u{201e}x\u{201c}", "a"), ("b", "c")];
    let western = b"text,label\ncaf\xe9 \x84x\x93,a\nb,c\n";
    is_with(&in_encoding("windows-1252")?, "a.csv", western, &rows)?;
    says(message("a.csv", western), &["line 2 is not UTF-8", "`encoding: windows-1252`"]);
    let lines = b"{\"text\":\"fine\",\"label\":\"a\"}\n{\"text\":\"caf\xe9\",\"label\":\"b\"}\n";
    says(
        message("a.jsonl", lines),
        &["JSON lines: line 2 is not UTF-8", "`encoding: windows-1252`"],
    );
    is_with(&in_encoding("latin1")?, "a.jsonl", lines, &[("fine", "a"), ("café", "b")])?;
    let wide: Vec<u8> = "{\"text\":\"日本語の文章です\",\"label\":\"a\"}\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    is("a.jsonl", wide, &[("日本語の文章です", "a")])?;
    says(
        message_with(&in_encoding("shift_jis")?, "a.csv", b"text,label\na,b\n\x81,c\n"),
        &["line 3 is not Shift_JIS", "`encoding`"],
    );
    // A mark at the beginning says more than a key, and sound UTF-8 is no Windows encoding.
    is_with(&in_encoding("windows-1252")?, "a.csv", "\u{feff}text,label\né,a\n", &[("é", "a")])?;
    let said = table("a.csv", "text,label\né,a\n".as_bytes(), &in_encoding("windows-1252")?)?;
    assert!(matches!(&said.remarks[..], [Remark::Warning(line)] if line.contains("UTF-8")));
    for python in ["utf-8-sig", "utf_8", "latin-1", "cp1252"] {
        assert!(python.parse::<super::Encoding>().is_ok(), "{python}");
    }
    assert!("utf-9".parse::<super::Encoding>().is_err());
    Ok(())
}

#[test]
fn files_that_are_something_else_are_known() {
    says(
        message("a.csv", b"PK\x03\x04..."),
        &["it is a ZIP archive, such as a workbook", "CSV UTF-8"],
    );
    says(message("a.tsv", b"\x1f\x8b\x08"), &["it is compressed with gzip", "`.gz`"]);
    says(message("a.jsonl", b"PAR1"), &["it is a Parquet file", "`.parquet`"]);
    says(message("a.csv", b"\xff\xfe\0\0t\0\0\0"), &["it is UTF-32", "iconv -f UTF-32"]);
}

#[test]
fn compressed_files_are_unpacked() -> Outcome {
    let content = b"text,label\none,a\ntwo,b\n";
    let rows = [("one", "a"), ("two", "b")];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(content)?;
    let gzip = gzip.finish()?;
    let zstd = zstd::stream::encode_all(&content[..], 3)?;
    is("a.csv.gz", &gzip, &rows)?;
    is("a.csv.zst", &zstd, &rows)?;
    // Parts that were compressed one after the other.
    let (head, tail) = (zstd::stream::encode_all(&content[..11], 3)?, &content[11..]);
    is("a.csv.zst", [head, zstd::stream::encode_all(tail, 3)?].concat(), &rows)?;
    for (name, whole) in [("a.csv.gz", gzip), ("a.csv.zst", zstd)] {
        for cut in 0..whole.len() {
            says(message(name, &whole[..cut]), &["compressed content is broken or cut off"]);
        }
    }
    says(message("a.csv.gz", content), &["cannot be read as gzip"]);
    Ok(())
}

#[test]
fn two_columns_of_one_name_are_refused() -> Outcome {
    says(
        message("a.csv", b"text,label,label\none,a,x\ntwo,b,y\n"),
        &["has duplicate columns with the name `label`: column 2 and column 3"],
    );
    says(
        message(
            "a.jsonl",
            b"{\"text\":\"a\",\"label\":1}\n{\"label\":1,\"text\":\"b\",\"label\":2}",
        ),
        &["has `label` twice in line 2"],
    );
    // Nobody asks for the others.
    is("a.csv", "text,x,x,label\none,,,a\n", &[("one", "a")])?;
    is("a.jsonl", "{\"text\":\"a\",\"x\":1,\"x\":2,\"label\":1}", &[("a", "1")])
}

#[test]
fn rows_are_named_with_their_lines() {
    let csv = b"text,label\n\"one\ntwo\",a\n\n ,b\nfour,\n\xe2\x80\x8b,c\n";
    says(
        message("a.csv", csv),
        &["no text in rows 2 (line 5), 4 (line 7): `text` is empty", "`empty: drop`"],
    );
    let reading = Reading { empty: Empty::Drop, ..READING };
    says(message_with(&reading, "a.csv", csv), &["no label in row 3 (line 6): `label` is empty"]);
    says(message("a.csv", b"text,label\na,x\nb\n"), &["no label in row 2 (line 3)"]);
    says(message("a.csv", b"text,label\na,x\nb,\"\"\n"), &["no label in row 2 (line 3)"]);
    let lines = b"{\"text\":\"a\",\"label\":1}\n\n{\"text\":\"a\",\"label\":null}\n";
    says(message("a.jsonl", lines), &["no label in row 2 (line 3)"]);
    says(message("a.jsonl", b"{\"text\":[],\"label\":1}\n"), &["has a list in row 1 of `text`"]);
    // A label in a list may have others beside it in the next file.
    let list = b"{\"text\":\"a\",\"label\":[1]}\n";
    says(message("a.jsonl", list), &["has a list in row 1 of `label`"]);
    let many = format!("text,label\n{}", ",a\n".repeat(7));
    says(
        message("a.csv", many.as_bytes()),
        &["in rows 1 (line 2), 2 (line 3), ", "5 (line 6), … (7 in all)"],
    );
}

#[test]
fn rows_without_a_text_can_be_left_out() -> Outcome {
    let reading = Reading { empty: Empty::Drop, ..READING };
    let found = table("a.csv", b"text,label\none,a\n,b\n  ,\ntwo,b\n", &reading)?;
    assert_eq!((pairs_of(&found), found.without_text), (vec![("one", "a"), ("two", "b")], 2));
    assert_eq!(found.rows[1].place.row, 4, "the others keep their rows");
    says(message_with(&reading, "a.csv", b"text,label\n,a\n"), &["has no row with a text"]);
    Ok(())
}

#[test]
fn labels_are_equal_in_nfc_without_space_at_the_ends() -> Outcome {
    let content = "text,label\na,Cafe\u{301}\nb,\u{a0}Café \n";
    is("a.csv", content, &[("a", "Café"), ("b", "Café")])
}

#[test]
fn every_error_names_the_row_or_the_column() {
    says(
        message("a.csv", b"txt,label\na,b\n"),
        &["no column `text`; it has `txt`, `label` / did you mean `txt`?"],
    );
    says(
        message("a.jsonl", b"{\"Text\":\"a\",\"label\":1}\n"),
        &["no column `text`; it has `Text`, `label` / did you mean `Text`?"],
    );
    says(message("a.tsv", b"text,label\na,b\n"), &["no column `text`", "set `separator: \",\"`"]);
    says(message("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\n"), &["line 2: "]);
    says(
        message("a.jsonl", b"[{\"text\":\"a\",\"label\":1}]\n"),
        &["line 1: ", "instead of one list"],
    );
    says(message("a.jsonl", b"{\"text\":\"a\",\"label\":NaN}\n"), &["line 1: ", "no `NaN`"]);
    for (name, content) in [("a.csv", &b"text,label\n"[..]), ("a.csv", b" \n"), ("a.jsonl", b"")] {
        says(message(name, content), &["has no rows"]);
    }
    says(message("a.xlsx", b""), &["ending `xlsx`; expected"]);
    says(message("a", b""), &["ending none; expected"]);
}

#[test]
fn parquet_with_whole_numbers_as_labels() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.parquet");
    let columns = vec![
        Column::new("text".into(), ["a", "b"]),
        Column::new("label".into(), [1_i64, 0]),
        Column::new("other".into(), [0.5_f64, f64::NAN]),
    ];
    let mut frame = DataFrame::new(2, columns)?;
    crate::data::frame::write_parquet(&file, &mut frame)?;
    assert_eq!(pairs_of(&read(&file, &READING)?), [("a", "1"), ("b", "0")]);
    let missing = read(&file, &Reading { text: "body", ..READING });
    let missing = missing.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(missing.contains("no column `body`; it has `text`, `label`, `other`"), "{missing}");
    let none = read(&file, &Reading { label: Some("other"), ..READING });
    let none = none.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(none.contains("no label in row 2: `other` is empty"), "{none}");
    let texts = read(&file, &Reading { label: None, ..READING })?;
    assert_eq!(pairs_of(&texts), [("a", ""), ("b", "")]);
    fs_err::write(&file, b"PAR1 not really PAR1")?;
    assert!(matches!(read(&file, &READING), Err(SourceError::Malformed { .. })));
    Ok(())
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
        // With a changed letter of a text the file is still a table; the read must only not panic.
        let _ = read(&file, &READING);
    }
    for length in (0..whole.len()).step_by(7) {
        fs_err::write(&file, &whole[..length])?;
        assert!(read(&file, &READING).is_err(), "cut at {length}");
    }
    Ok(())
}

#[test]
fn formats_are_known_by_their_names() {
    assert_eq!(Format::of("data/a.tsv.gz"), Some(Format::Tsv));
    assert_eq!(Format::of("a.doc"), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in "(text|label|,|;|sep=|\t|\"|\n|\r|\\{|\\}|\\[|:|a|\0|é|1){0,60}",
        header: bool,
    ) {
        let header = if header { "text,label\n" } else { "" };
        for name in ["a.csv", "a.tsv", "a.txt", "a.jsonl"] {
            if let Ok(table) = table(name, format!("{header}{bytes}").as_bytes(), &READING) {
                prop_assert!(table.rows.iter().all(|row| !row.text.trim().is_empty()));
                prop_assert!(table.rows.iter().all(|row| !row.label.is_empty()));
            }
        }
    }

    #[test]
    fn what_a_writer_quotes_is_read_back(
        rows in prop::collection::vec(("[a-c\",;\n\t ]{1,8}", "[xy]"), 1..5),
        separator in "[,;|\t]",
    ) {
        let field = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let lines = rows.iter().map(|(text, label)| format!("{}{separator}{label}\n", field(text)));
        let content = format!("text{separator}label\n{}", lines.collect::<String>());
        let reading = Reading { empty: Empty::Drop, ..quoting(Quoting::Double) };
        let found = table("a.csv", content.as_bytes(), &reading);
        let expected: Vec<(&str, &str)> = rows
            .iter()
            .filter(|(text, _)| !text.trim().is_empty())
            .map(|(text, label)| (text.as_str(), label.as_str()))
            .collect();
        match found {
            Ok(found) => prop_assert_eq!(pairs_of(&found), expected),
            Err(error) => prop_assert!(expected.is_empty(), "{error}"),
        }
    }
}
