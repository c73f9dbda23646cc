//! The labels of a data set: its classes, and what may be wrong with their names.

use std::collections::{BTreeMap, BTreeSet};

use super::duplicates::Part;
use super::error::LoadError;
use crate::base::report::Report;
use crate::data::normal::{normalise, revealed};
use crate::data::source::SourceRow;

/// The labels of train, sorted.
pub(super) fn labels(train: &[&SourceRow]) -> Result<Vec<String>, LoadError> {
    let labels: BTreeSet<&str> = train.iter().map(|row| row.label.as_str()).collect();
    let labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
    match labels.as_slice() {
        [label] => Err(LoadError::OneClass { label: label.clone() }),
        _ => Ok(labels),
    }
}

/// Returns what may be wrong with a label that train lacks.
pub(super) fn hint_at(label: &str, labels: &[String]) -> String {
    let normal = normalise(label);
    match labels.iter().find(|other| normalise(other) == normal) {
        Some(other) => format!(
            "train has `{}`; write both in the same way, down to case and signs that cannot be \
             seen",
            revealed(other)
        ),
        None => format!(
            "train has {}; a model cannot learn a class that it never sees",
            shortened(labels)
        ),
    }
}

/// Warns of labels that look the same or nearly so, and of words that stand for a missing value.
pub(super) fn warn_of_labels(report: &(impl Report + ?Sized), parts: &[Part]) {
    const MISSING: [&str; 7] = ["nan", "null", "none", "na", "n/a", "<na>", "#n/a"];
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in parts.iter().flat_map(|part| &part.rows) {
        *counts.entry(&row.label).or_default() += 1;
    }
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (label, count) in &counts {
        let rows = if *count == 1 { "row" } else { "rows" };
        let shown = format!("`{}` ({count} {rows})", revealed(label));
        if MISSING.contains(&label.to_lowercase().as_str()) {
            report.warn(&format!("the label {shown} looks like a missing value"));
        }
        let plain = normalise(label.trim_matches(['"', '\'']));
        groups.entry(plain).or_default().push(shown);
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        report.warn(&format!(
            "these labels are different classes, but differ only in case, width, whitespace, \
             quotes or signs that cannot be seen: {}",
            group.join(", ")
        ));
    }
}

fn shortened(labels: &[String]) -> String {
    let shown: Vec<String> =
        labels.iter().take(20).map(|label| format!("`{}`", revealed(label))).collect();
    let more = labels.len().saturating_sub(20);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
