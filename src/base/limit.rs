//! How much a file may unpack to: a small one must fill neither the memory nor the disk.

use std::ffi::OsString;
use std::path::Path;

use fs_err as fs;

/// The variable that sets another limit.
pub const VARIABLE: &str = "PIPE_MAX_UNPACKED";

/// The bytes that every table may take in memory.
pub const TABLE: u64 = 4 << 30;
/// The bytes that the files of every package may take on the disk.
pub const PACKAGE: u64 = 512 << 20;
/// The bytes of a JSON file of a model. They take many times that in memory; the largest tokenizers
/// have less than 40 MB.
const JSON: u64 = 256 << 20;

/// What honest compression gains at the most, which raises the limits of large files.
const RATIO: u64 = 20;

/// A file that would take too much.
#[derive(Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum LimitError {
    #[error(
        "`{file}` would take {} or more; the limit is {}",
        shown(*bytes), shown(*most)
    )]
    #[diagnostic(help(
        "if it comes from where you expect it, and it is that large, set `{VARIABLE}` to more, \
         such as `{}GiB`",
        ((*bytes >> 30) + 1).next_power_of_two()
    ))]
    Unpacked { file: String, bytes: u64, most: u64 },

    #[error("`{VARIABLE}` is `{value}`; expected a number of bytes, such as `16GiB`")]
    #[diagnostic(help("the units are `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB` and `TiB`"))]
    Variable { value: String },
}

/// The most that one file may unpack to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    file: String,
    most: u64,
}

impl Limit {
    /// Returns the limit of a file that takes so many bytes as it is: [`VARIABLE`] if it is set,
    /// else 20 times its size, but at least so many bytes.
    pub fn of(file: &Path, stored: u64, least: u64) -> Result<Limit, LimitError> {
        Limit::with(std::env::var_os(VARIABLE), file, stored, least)
    }

    fn with(
        variable: Option<OsString>,
        file: &Path,
        stored: u64,
        least: u64,
    ) -> Result<Limit, LimitError> {
        let most = match variable.filter(|value| !value.is_empty()) {
            None => least.max(stored.saturating_mul(RATIO)),
            Some(value) => {
                let value = value.to_string_lossy().into_owned();
                bytes(&value).ok_or(LimitError::Variable { value })?
            }
        };
        Ok(Limit { file: file.display().to_string(), most })
    }

    /// Returns the limit in bytes.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Fails if the file takes more bytes than it may.
    pub fn check(&self, bytes: u64) -> Result<(), LimitError> {
        match bytes <= self.most {
            true => Ok(()),
            false => Err(LimitError::Unpacked { file: self.file.clone(), bytes, most: self.most }),
        }
    }
}

/// Checks that a JSON file of a model is not too large to be one.
pub fn check_json(path: &Path) -> Result<(), LimitError> {
    // A file that is not there is told of by who reads it.
    let size = fs::metadata(path).map_or(0, |data| data.len());
    check_json_size(path, size)
}

/// Checks the size of a JSON file that is not here yet.
pub fn check_json_size(path: &Path, size: u64) -> Result<(), LimitError> {
    Limit::of(path, 0, JSON)?.check(size)
}

/// Reads a number of bytes: `500000000`, `16GiB`, `1.5 GB`.
fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
        ("TIB", 1 << 40),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let text = text.trim().to_ascii_uppercase();
    let unit = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = unit.unwrap_or((&text, 1));
    let number = number.trim();
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain)?;
    Some((number * size as f64) as u64)
}

/// Writes a number of bytes for people.
fn shown(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= f64::from(1 << 30) => format!("{:.1} GiB", bytes / f64::from(1 << 30)),
        _ if bytes >= f64::from(1 << 20) => format!("{:.1} MiB", bytes / f64::from(1 << 20)),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_follows_the_size_of_a_file_or_is_set() -> Result<(), LimitError> {
        let most = |variable: Option<&str>, stored: u64| {
            let limit = Limit::with(variable.map(Into::into), Path::new("a"), stored, 1000);
            limit.map(|limit| limit.most())
        };
        assert_eq!(most(None, 3)?, 1000);
        assert_eq!(most(None, 300)?, 6000);
        assert_eq!(most(None, u64::MAX)?, u64::MAX);
        assert_eq!(most(Some(""), 3)?, 1000);
        for (text, bytes) in [
            ("70", 70),
            ("1KiB", 1024),
            ("1.5 kb", 1500),
            ("16GiB", 16 << 30),
            ("2TB", 2 * 10u64.pow(12)),
        ] {
            assert_eq!(most(Some(text), 300)?, bytes, "{text}");
        }
        for text in ["much", "-1", "1e9", "inf", "NaN", "GiB", "1 PiB"] {
            assert!(most(Some(text), 3).is_err(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn what_is_beyond_is_named_with_the_way_out() -> Result<(), LimitError> {
        use miette::Diagnostic;
        let limit = Limit::with(None, Path::new("small.parquet"), 3, TABLE)?;
        limit.check(TABLE)?;
        let error = limit.check(5 * TABLE);
        let text = error.as_ref().map_err(ToString::to_string);
        assert_eq!(
            text,
            Err("`small.parquet` would take 20.0 GiB or more; the limit is 4.0 GiB".to_owned())
        );
        let hint = error.err().and_then(|error| Some(error.help()?.to_string()));
        assert!(
            hint.is_some_and(
                |hint| hint.contains("set `PIPE_MAX_UNPACKED` to more, such as `32GiB`")
            )
        );
        Ok(())
    }
}
