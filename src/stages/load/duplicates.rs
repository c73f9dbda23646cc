//! Finds texts that occur more than once.

use std::collections::HashMap;

use super::config::Duplicates;
use super::error::LoadError;
use crate::base::cut::cut;
use crate::data::Split;
use crate::data::normal::{is_invisible, normalise, revealed};
use crate::data::source::SourceRow;

/// The most pairs that an error shows.
const SHOWN: usize = 5;

/// The name of a part that is not split yet.
pub(super) const UNSPLIT: &str = "row";

/// A file's rows and their split; `None` where there is no split yet.
pub(super) struct Part {
    pub split: Option<Split>,
    pub rows: Vec<SourceRow>,
}

impl Part {
    fn name(&self) -> &'static str {
        self.split.map_or(UNSPLIT, Split::name)
    }
}

/// The numbers of duplicate rows that were dropped or kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub dropped: usize,
    /// Copies outside the part of the first, or all copies if there is no split yet.
    pub leaking: usize,
    /// Copies in the same part, which leak nothing.
    pub harmless: usize,
    /// Copies whose label differs from the first's.
    pub contradicting: usize,
}

/// Finds equal texts and treats them as asked. The first part, in their order, keeps the text.
pub(super) fn treat(parts: &mut [Part], how: Duplicates) -> Result<Found, LoadError> {
    let unsplit = parts.len() == 1;
    let mut found = Found::default();
    // Only single keys are looked up; the map's order reaches no output.
    let mut first: HashMap<String, (usize, usize)> = HashMap::new();
    let mut copies: Vec<((usize, usize), (usize, usize))> = Vec::new();
    for (part, rows) in parts.iter().map(|part| &part.rows).enumerate() {
        for (index, row) in rows.iter().enumerate() {
            match first.entry(normalise(&row.text)) {
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert((part, index));
                }
                std::collections::hash_map::Entry::Occupied(entry) => {
                    copies.push((*entry.get(), (part, index)))
                }
            }
        }
    }
    let leaks = |a: (usize, usize), b: (usize, usize)| unsplit || a.0 != b.0;
    for &(a, b) in &copies {
        if leaks(a, b) {
            found.leaking += 1;
        } else {
            found.harmless += 1;
        }
        found.contradicting +=
            usize::from(parts[a.0].rows[a.1].label != parts[b.0].rows[b.1].label);
    }
    match how {
        Duplicates::Error if found.leaking > 0 => {
            let shown: Vec<String> = copies
                .iter()
                .filter(|(a, b)| leaks(*a, *b))
                .take(SHOWN)
                .map(|&(a, b)| {
                    let (one, two) = (&parts[a.0], &parts[b.0]);
                    format!(
                        "  {} {} and {} {}: {}",
                        one.name(),
                        one.rows[a.1].place,
                        two.name(),
                        two.rows[b.1].place,
                        shown(&one.rows[a.1].text, &two.rows[b.1].text)
                    )
                })
                .collect();
            return Err(LoadError::Duplicates { count: found.leaking, shown: shown.join("\n") });
        }
        Duplicates::Drop => {
            for (part, rows) in parts.iter_mut().map(|part| &mut part.rows).enumerate() {
                let gone: std::collections::BTreeSet<usize> = copies
                    .iter()
                    .filter(|(_, copy)| copy.0 == part)
                    .map(|(_, copy)| copy.1)
                    .collect();
                let mut index = 0;
                rows.retain(|_| {
                    index += 1;
                    !gone.contains(&(index - 1))
                });
            }
            found.dropped = copies.len();
        }
        Duplicates::Error | Duplicates::Allow => {}
    }
    Ok(found)
}

/// Returns the text, and the other one where they differ in signs that cannot be seen.
fn shown(one: &str, other: &str) -> String {
    let shown = [one, other].map(|text| format!("\"{}\"", cut(&revealed(text), 60)));
    let hides = |text: &str| text.chars().any(is_invisible);
    match one != other && (hides(one) || hides(other)) {
        true => shown.join(" and "),
        false => shown[0].clone(),
    }
}
