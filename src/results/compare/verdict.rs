//! What may be said of a recipe.

use super::comparison::{Against, Verdict};

/// The level of all tests.
pub(super) const LEVEL: f64 = 0.05;

/// Returns what may be said. A winner needs both: seeds that agree beyond noise, after the
/// correction for the number of recipes, and test texts on which the difference would hold up.
///
/// `seeds` is the number of pairs, or of the values of the recipe that has fewer where they are not
/// paired.
pub(super) fn verdict(against: &Against, seeds: u64, less_is_better: bool) -> Verdict {
    let Some(p) = against.p_holm else {
        return Verdict::TooFewSeeds { more: None };
    };
    if p < LEVEL {
        let texts = against.items.and_then(|items| items.interval);
        return match texts.is_some_and(|interval| interval.holds_zero()) {
            true => Verdict::TooFewTexts,
            false if (against.difference > 0.0) != less_is_better => Verdict::Better,
            false => Verdict::Worse,
        };
    }
    match against.seeds_needed {
        Some(needed) if needed <= seeds => Verdict::NoDifference,
        Some(needed) => Verdict::TooFewSeeds { more: Some(needed - seeds) },
        // Every seed gave the very same.
        None if against.effect_size == Some(0.0) => Verdict::NoDifference,
        None => Verdict::TooFewSeeds { more: None },
    }
}
