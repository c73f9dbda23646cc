//! Finds the columns that a user names.

use std::path::Path;

use super::error::SourceError;
use super::settings::Names;

/// Returns the positions of the named columns; `None` for one that is not wanted.
///
/// # Errors
///
/// Fails where a column is missing, or where several have the name.
pub(super) fn find(
    file: &Path,
    found: &[impl AsRef<str>],
    names: Names<'_>,
    hint: Option<&str>,
) -> Result<[Option<usize>; 2], SourceError> {
    let mut places = [None, None];
    for (place, name) in places.iter_mut().zip(names) {
        let Some(name) = name else { continue };
        let all: Vec<usize> =
            (0..found.len()).filter(|&column| found[column].as_ref() == name).collect();
        *place = match all.as_slice() {
            [one] => Some(*one),
            [] => return Err(missing(file, found, name, hint)),
            several => {
                return Err(SourceError::TwoColumns {
                    file: file.display().to_string(),
                    column: name.to_owned(),
                    places: several.iter().map(|column| column + 1).collect(),
                });
            }
        };
    }
    Ok(places)
}

/// Returns the error of a column that is not there.
pub(super) fn missing(
    file: &Path,
    found: &[impl AsRef<str>],
    name: &str,
    hint: Option<&str>,
) -> SourceError {
    let shown: Vec<String> = found.iter().map(|column| format!("`{}`", column.as_ref())).collect();
    SourceError::NoColumn {
        file: file.display().to_string(),
        column: name.to_owned(),
        found: if shown.is_empty() { "none".into() } else { shown.join(", ") },
        hint: match (hint, nearest(name, found.iter().map(AsRef::as_ref))) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => "name the columns with the keys `text` and `label` of the stage".into(),
        },
    }
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
