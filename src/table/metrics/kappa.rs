//! Cohen's κ.

use super::confusion::Confusion;

/// Returns (pₒ − pₑ) / (1 − pₑ) (Cohen 1960), pₒ the accuracy and pₑ the agreement expected of independent labels with the same
/// frequencies. `None` where pₑ is 1: all rows are of one class and are predicted to be.
pub fn kappa(confusion: &Confusion) -> Option<f64> {
    let total = confusion.total() as f64;
    let chance: f64 = (0..confusion.classes())
        .map(|class| confusion.support(class) as f64 * confusion.predicted(class) as f64)
        .sum();
    let room = total * total - chance;
    (room > 0.0).then(|| (confusion.right() as f64 * total - chance) / room)
}
