//! Finds a recipe by name.

use super::draft::Draft;
use super::error::CompareError;
use crate::data::source::nearest;

/// Returns the index of a recipe. `name` is its whole name, its stage, its trial, its run (or the
/// beginning or end of it), or a part of its name.
pub(super) fn find(drafts: &[Draft<'_>], name: &str) -> Result<usize, CompareError> {
    let wanted = name.trim();
    let trial = wanted.strip_prefix("trial ").unwrap_or(wanted).parse::<u64>().ok();
    let ways: [&dyn Fn(&Draft<'_>) -> bool; 5] = [
        &|draft| draft.name == wanted,
        &|draft| draft.row.stage == wanted,
        &|draft| trial.is_some() && draft.row.trial == trial,
        &|draft| draft.name.split(", ").any(|part| part == wanted),
        &|draft| draft.runs.iter().any(|run| run.starts_with(wanted) || run.ends_with(wanted)),
    ];
    for fits in ways {
        let found: Vec<usize> = (0..drafts.len()).filter(|&index| fits(&drafts[index])).collect();
        match found[..] {
            [] => {}
            [index] => return Ok(index),
            _ => {
                let names = found.iter().map(|&index| drafts[index].name.as_str());
                return Err(CompareError::ManyRecipes {
                    name: wanted.to_owned(),
                    count: found.len(),
                    hint: format!("name one of them: {}", list(names)),
                });
            }
        }
    }
    let names = || drafts.iter().flat_map(|draft| [draft.name.as_str(), draft.row.stage.as_str()]);
    let hint = match nearest(wanted, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", list(drafts.iter().map(|draft| draft.name.as_str()))),
    };
    Err(CompareError::NoRecipe { name: wanted.to_owned(), hint })
}

/// Returns the index of the baseline; `None` if no recipe has finished.
pub(super) fn baseline(
    drafts: &[Draft<'_>],
    name: Option<&str>,
) -> Result<Option<usize>, CompareError> {
    let Some(name) = name else {
        return Ok(drafts.iter().position(|draft| !draft.values.is_empty()));
    };
    let index = find(drafts, name)?;
    let draft = &drafts[index];
    if !draft.values.is_empty() {
        return Ok(Some(index));
    }
    let reason = draft.skipped.iter().find_map(|row| row.error.clone());
    Err(CompareError::EmptyBaseline {
        name: draft.name.clone(),
        reason: reason.unwrap_or_else(|| "its training was stopped early".to_owned()),
    })
}

/// Writes names as `a`, `b`, `c`; a long list is cut.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    text.join(", ")
}
