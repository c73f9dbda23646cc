//! Texts without labels: which of them stand in the splits.

use std::collections::{BTreeMap, BTreeSet};

use super::config::Duplicates;
use super::error::LoadError;
use crate::base::cut::cut;
use crate::base::report::Report;
use crate::data::normal::{normalise, revealed};
use crate::data::{DataSet, Split, Unlabelled};

/// The most texts that an error shows.
const SHOWN: usize = 5;

/// Keeps the texts that stand nowhere else, in their order. Those in train, and further copies,
/// are left out with a note; those in test or dev are treated as asked.
///
/// # Errors
///
/// Fails for texts in test or dev unless they are dropped or allowed, and where none is left.
pub(super) fn treat(
    report: &(impl Report + ?Sized),
    data: &DataSet,
    texts: Vec<Unlabelled>,
    how: Duplicates,
) -> Result<Vec<Unlabelled>, LoadError> {
    let found = texts.len();
    let mut held: BTreeMap<String, Split> = BTreeMap::new();
    // What is scored comes first: a text of train that is in test too counts as one of test.
    for split in [Split::Test, Split::Dev, Split::Train] {
        for example in data.splits.get(split) {
            held.entry(normalise(&example.text.joined())).or_insert(split);
        }
    }
    let (mut kept, mut leaks) = (Vec::new(), Vec::new());
    let (mut in_train, mut copies) = (0, 0);
    let mut own = BTreeSet::new();
    for text in texts {
        let normal = normalise(&text.text.joined());
        match held.get(&normal) {
            Some(Split::Train) => in_train += 1,
            _ if own.contains(&normal) => copies += 1,
            Some(split) => {
                leaks.push((text.id.clone(), *split, text.text.to_string()));
                own.insert(normal);
                if how == Duplicates::Allow {
                    kept.push(text);
                }
            }
            None => {
                own.insert(normal);
                kept.push(text);
            }
        }
    }
    if !leaks.is_empty() && how == Duplicates::Error {
        let line = |(id, split, text): &(String, Split, String)| {
            format!("  {id}, in {split}: \"{}\"", cut(&revealed(text), 60))
        };
        let shown: Vec<String> = leaks.iter().take(SHOWN).map(line).collect();
        return Err(LoadError::UnlabelledLeaks { count: leaks.len(), shown: shown.join("\n") });
    }
    if kept.is_empty() {
        return Err(LoadError::NoneUnlabelled { found });
    }
    report.note(&format!("{} texts without labels", kept.len()));
    let dropped = if how == Duplicates::Drop { leaks.len() } else { 0 };
    let left_out: Vec<String> =
        [(in_train, "in train"), (copies, "copies of others"), (dropped, "in test or dev")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
    if !left_out.is_empty() {
        report.note(&format!("texts without labels left out: {}", left_out.join(", ")));
    }
    if how == Duplicates::Allow && !leaks.is_empty() {
        let count = leaks.len();
        report.warn(&format!("texts without labels that stand in test or dev too: {count}"));
    }
    Ok(kept)
}
