//! Checks of the configuration that need no file.

use super::config::{Load, SplitSizes};
use crate::data::Split;
use crate::data::source::{Encoding, Format, Separator};
use crate::stages::contract::error::CheckError;

/// Checks what is said about the tables: its form, and that it concerns one of them.
pub(super) fn tables(load: &Load, paths: &[&str]) -> Vec<CheckError> {
    let mut errors = Vec::new();
    if let Some(name) = &load.separator
        && name.parse::<Separator>().is_err()
    {
        let message = format!("`separator` is {name:?}; expected one ASCII sign, or `tab`");
        errors.push(
            CheckError::new("separator", message)
                .hint("letters, digits, quotes and line ends separate no fields"),
        );
    }
    if let Some(name) = &load.encoding
        && name.parse::<Encoding>().is_err()
    {
        errors.push(
            CheckError::new("encoding", format!("`{name}` is no encoding that can be read")).hint(
                "write it as browsers do: `utf-8`, `windows-1252`, `iso-8859-15`, \
                     `utf-16le`, `shift_jis`, `gbk`",
            ),
        );
    }
    let formats: Vec<Option<Format>> = paths.iter().copied().map(Format::of).collect();
    // A format that is not known is an error of its own, with the file.
    let concerns = |test: fn(Format) -> bool| {
        formats.is_empty() || formats.iter().any(|format| format.is_none_or(test))
    };
    let unused = |key: &'static str, of: &str| {
        CheckError::new(key, format!("`{key}` changes nothing: no file is {of}"))
            .hint(format!("leave `{key}` out"))
    };
    for (key, is_given) in
        [("separator", load.separator.is_some()), ("quoting", load.quoting.is_some())]
    {
        if is_given && !concerns(Format::is_delimited) {
            errors.push(unused(key, "csv, tsv or txt"));
        }
    }
    if load.encoding.is_some() && !concerns(Format::is_text) {
        errors.push(unused("encoding", "text"));
    }
    errors
}

/// Checks where texts without labels come from.
pub(super) fn unlabelled(load: &Load) -> Vec<CheckError> {
    let Some(unlabelled) = &load.unlabelled else { return Vec::new() };
    let mut errors = Vec::new();
    if unlabelled.path.is_none() && !unlabelled.rest {
        errors.push(
            CheckError::new("unlabelled", "neither `path` nor `rest` is given")
                .hint("give `path: FILE`, or `rest: true` for what `shots` leaves over"),
        );
    }
    if unlabelled.rest && load.shots.is_none() {
        errors.push(
            CheckError::new("unlabelled.rest", "without `shots`, nothing is left over")
                .hint("set `shots`, or name a file with `path`"),
        );
    }
    errors
}

/// Checks the sizes of a split.
pub(super) fn split(split: &SplitSizes) -> Vec<CheckError> {
    let mut errors = Vec::new();
    for (key, size) in [(Split::Test, split.test), (Split::Dev, split.dev)] {
        let sound = size.is_finite() && size >= 0.0 && (size < 1.0 || size.fract() == 0.0);
        if !sound {
            errors.push(
                CheckError::new(
                    format!("split.{key}"),
                    format!("`{key}` is {size}; expected a fraction below 1 or a row count"),
                )
                .hint("0.3 is 30 % of the rows, 300 is 300 rows"),
            );
        } else if size == 1.0 {
            errors.push(
                CheckError::new(
                    format!("split.{key}"),
                    format!("`{key}` is 1, which could mean all rows or one row"),
                )
                .hint("give a fraction below 1, or a row count of 2 or more"),
            );
        }
    }
    let shares: f64 = [split.test, split.dev].into_iter().filter(|size| *size < 1.0).sum();
    if errors.is_empty() && shares >= 1.0 {
        errors.push(
            CheckError::new(
                "split",
                format!("`test` and `dev` take {shares} of the rows; expected less than 1"),
            )
            .hint("the rest is train"),
        );
    }
    errors
}
