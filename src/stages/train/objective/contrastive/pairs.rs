//! SetFit's pairs of texts (setfit 1.1, `num_iterations`), drawn without a list of all pairs.

use rand::Rng;
use rand::seq::SliceRandom;

/// Returns pairs of texts: as many of one class as of two, `wanted` each, one after the other in
/// turn.
///
/// All pairs of an order of the texts are gone through, a text with itself included, row by row.
/// The first `wanted` of each kind are taken; where there are fewer, they begin anew.
pub(super) fn pairs(order: &[usize], labels: &[usize], wanted: usize) -> Vec<[usize; 2]> {
    let all = || {
        order
            .iter()
            .enumerate()
            .flat_map(|(row, &first)| order[row..].iter().map(move |&second| [first, second]))
    };
    let is_same = |[first, second]: &[usize; 2]| labels[*first] == labels[*second];
    let same: Vec<[usize; 2]> = all().filter(is_same).take(wanted).collect();
    let other: Vec<[usize; 2]> = all().filter(|pair| !is_same(pair)).take(wanted).collect();
    let same = same.iter().cycle().take(wanted);
    let other = other.iter().cycle().take(wanted);
    let mut both = Vec::with_capacity(2 * wanted);
    let (mut same, mut other) = (same.copied(), other.copied());
    loop {
        let (one, two) = (same.next(), other.next());
        if one.is_none() && two.is_none() {
            return both;
        }
        both.extend(one.into_iter().chain(two));
    }
}

/// Returns the batches of an epoch: pairs side by side, `batch_size` of them in each.
pub(super) fn batches(
    labels: &[usize],
    iterations: usize,
    batch_size: usize,
    mut random: &mut dyn Rng,
) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut random);
    let mut pairs = pairs(&order, labels, iterations * labels.len());
    pairs.shuffle(&mut random);
    pairs.chunks(batch_size.max(1)).map(<[[usize; 2]]>::as_flattened).map(<[_]>::to_vec).collect()
}
