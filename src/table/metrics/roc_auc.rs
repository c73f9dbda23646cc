//! The area under the ROC curve, one class against the rest.

use super::row::Row;

/// Returns the mean over all classes of the area under the ROC curve of the class against the rest (scikit-learn's
/// `multi_class="ovr", average="macro"`). `None` where a class has no row or has all of them.
pub fn roc_auc(classes: usize, rows: &[Row<'_>]) -> Option<f64> {
    let areas: Option<Vec<f64>> = (0..classes).map(|class| area(class, rows)).collect();
    areas.filter(|areas| !areas.is_empty()).map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
}

/// The probability that a row of the class scores higher than one of the rest, ties counting half (Mann & Whitney's U).
fn area(class: usize, rows: &[Row<'_>]) -> Option<f64> {
    let mut scores: Vec<(f32, bool)> =
        rows.iter().map(|row| (row.probabilities[class], row.label == class)).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scores.iter().filter(|(_, positive)| *positive).count();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    // Twice the number of won pairs, which stays a whole number with ties.
    let (mut won, mut below) = (0_u64, 0_u64);
    for tied in scores.chunk_by(|a, b| a.0 == b.0) {
        let ahead = tied.iter().filter(|(_, positive)| *positive).count() as u64;
        let behind = tied.len() as u64 - ahead;
        won += ahead * (2 * below + behind);
        below += behind;
    }
    Some(won as f64 / (2.0 * positives as f64 * negatives as f64))
}
