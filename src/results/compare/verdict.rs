//! The verdict on a recipe.

use super::comparison::{Against, Verdict};

/// The level of all tests.
pub(super) const LEVEL: f64 = 0.05;

/// Returns the verdict. A winner needs both: seeds that agree beyond noise, after correction for
/// the number of recipes, and test texts over which the difference holds up.
///
/// `seeds` is the number of pairs. Without pairs, it is the smaller number of values of the two
/// recipes.
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
        // Every seed gave the same value.
        None if against.effect_size == Some(0.0) => Verdict::NoDifference,
        None => Verdict::TooFewSeeds { more: None },
    }
}
