//! "Did you mean".

/// Longer names are not compared: the cost is quadratic, and no real name is that long.
const MAX_CHARS: usize = 64;

/// Returns the candidate of which `name` is probably a misspelling.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    if length > MAX_CHARS {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| {
            candidate.len().abs_diff(name.len()) <= allowed + 2 && candidate.len() <= 4 * MAX_CHARS
        })
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&name, &candidate.to_lowercase().replace('-', "_")),
                candidate,
            )
        })
        // A name of one letter is not a misspelling of another one.
        .filter(|(distance, candidate)| {
            *distance <= allowed && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the hint "did you mean", or otherwise the list of candidates.
pub fn hint<'a>(
    name: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(candidate) = nearest(name, candidates.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    (!all.is_empty()).then(|| format!("{what}: {}", list(&all)))
}

/// Writes names as `a`, `b`, `c`; a long list is cut.
pub fn list(names: &[&str]) -> String {
    const SHOWN: usize = 24;
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_misspellings_and_nothing_else() {
        let keys = ["epochs", "batch_size", "optimizer"];
        assert_eq!(nearest("epoch", keys), Some("epochs"));
        assert_eq!(nearest("batch-size", keys), Some("batch_size"));
        assert_eq!(nearest("Optimiser", keys), Some("optimizer"));
        assert_eq!(nearest("path", keys), None);
        assert_eq!(nearest("b", ["a"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
    }

    #[test]
    fn lists_when_nothing_is_near() {
        assert_eq!(hint("zzz", "known", ["a", "b"]).as_deref(), Some("known: `a`, `b`"));
        assert_eq!(hint("zzz", "known", []), None);
    }
}
