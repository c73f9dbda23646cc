//! Recipes aggregated by the values of a parameter.

use indexmap::IndexMap;

use super::comparison::{ByParameter, Group};
use super::draft::{Draft, plain};
use super::error::CompareError;
use crate::results::format::options::no_column;
use crate::statistics::{Summary, mean};

/// Groups recipes by a parameter, which may be written `x`, `param.x` or `params.x`; groups are
/// sorted by value.
pub(super) fn by(
    drafts: &[Draft<'_>],
    parameter: &str,
    less_is_better: bool,
    range: (f64, f64),
) -> Result<ByParameter, CompareError> {
    let known = || drafts.iter().flat_map(|draft| draft.row.params.keys()).map(String::as_str);
    let short = ["params.", "param."].iter().find_map(|prefix| parameter.strip_prefix(prefix));
    let name = [Some(parameter), short]
        .into_iter()
        .flatten()
        .find(|name| known().any(|known| known == *name));
    let Some(name) = name else {
        let unique: indexmap::IndexSet<&str> = known().collect();
        return Err(no_column("parameter", short.unwrap_or(parameter), unique.into_iter()).into());
    };
    let mut groups: IndexMap<Option<String>, Vec<&Draft<'_>>> = IndexMap::new();
    for draft in drafts.iter().filter(|draft| !draft.values.is_empty()) {
        groups.entry(draft.row.params.get(name).map(plain)).or_default().push(draft);
    }
    let sign = if less_is_better { -1.0 } else { 1.0 };
    let group = |drafts: &Vec<&Draft<'_>>| {
        let means: Vec<f64> = drafts.iter().filter_map(|draft| mean(&draft.values)).collect();
        let best = drafts
            .iter()
            .zip(&means)
            .reduce(|best, other| if sign * other.1 > sign * best.1 { other } else { best })?;
        Some(Group {
            value: drafts.first()?.row.params.get(name).cloned(),
            recipes: drafts.len(),
            summary: Summary::of(&means, range)?,
            best: best.0.name.clone(),
            best_mean: *best.1,
        })
    };
    let mut groups: Vec<Group> = groups.values().filter_map(group).collect();
    let number = |group: &Group| group.value.as_ref().and_then(serde_json::Value::as_f64);
    groups.sort_by(|a, b| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        // Numbers first, then texts in their original order.
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    Ok(ByParameter { parameter: name.to_owned(), groups })
}
