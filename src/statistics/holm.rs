//! Holm's correction for several tests at once.

/// Returns corrected p values in the given order. They keep the chance of any false finding at the
/// level of the tests (Holm 1979, step down; like statsmodels' `multipletests(method="holm")`).
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut corrected = vec![1.0; values.len()];
    let mut least = 0.0f64;
    for (place, index) in order.into_iter().enumerate() {
        least = least.max((values[index] * (values.len() - place) as f64).min(1.0));
        corrected[index] = least;
    }
    corrected
}
