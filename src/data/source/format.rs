//! The format of a table, which its ending selects.

use std::path::Path;

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    Tsv,
    /// Excel's "Unicode Text" and "Text (Tab delimited)".
    Text,
    JsonLines,
    Parquet,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Format {
    /// Returns the format of a file by its name; `None` where its ending says nothing.
    pub fn of(path: &str) -> Option<Format> {
        find(Path::new(path)).ok().map(|(format, _)| format)
    }

    /// Says whether a separator stands between its fields.
    pub fn is_delimited(self) -> bool {
        matches!(self, Format::Csv | Format::Tsv | Format::Text)
    }

    /// Says whether its files are text in some encoding.
    pub fn is_text(self) -> bool {
        self != Format::Parquet
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Tsv => "TSV",
            Format::Text => "tab-delimited text",
            Format::JsonLines => "JSON lines",
            Format::Parquet => "Parquet",
        }
    }
}

/// Returns the format of a file and its compression, or the ending that is unknown.
pub(super) fn find(path: &Path) -> Result<(Format, Packing), String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let packed = [(".gz", Packing::Gzip), (".zst", Packing::Zstd)];
    let (stem, packing) = packed
        .into_iter()
        .find_map(|(ending, packing)| Some((name.strip_suffix(ending)?, packing)))
        .unwrap_or((&name, Packing::None));
    let ending = Path::new(stem).extension().map(|ending| ending.to_string_lossy().into_owned());
    let format = match ending.as_deref() {
        Some("csv") => Format::Csv,
        Some("tsv" | "tab") => Format::Tsv,
        Some("txt") => Format::Text,
        Some("jsonl" | "ndjson") => Format::JsonLines,
        Some("parquet" | "pq") => Format::Parquet,
        Some(other) => return Err(format!("`{other}`")),
        None => return Err("none".to_owned()),
    };
    Ok((format, packing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_select_format_and_compression() {
        for (name, expected) in [
            ("a.csv", Ok((Format::Csv, Packing::None))),
            ("b/A.CSV.GZ", Ok((Format::Csv, Packing::Gzip))),
            ("a.tab", Ok((Format::Tsv, Packing::None))),
            ("a.b.tsv.zst", Ok((Format::Tsv, Packing::Zstd))),
            ("a.txt", Ok((Format::Text, Packing::None))),
            ("a.jsonl.gz", Ok((Format::JsonLines, Packing::Gzip))),
            ("a.pq", Ok((Format::Parquet, Packing::None))),
            ("a.xlsx", Err("`xlsx`".to_owned())),
            ("a.gz", Err("none".to_owned())),
            ("a", Err("none".to_owned())),
        ] {
            assert_eq!(find(Path::new(name)), expected, "{name}");
        }
    }
}
