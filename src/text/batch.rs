//! Batches of texts with similar lengths, padded to the longest text of the batch.

use rand::Rng;
use rand::seq::SliceRandom;

use super::tokenized::TokenizedText;

/// Token ids and mask of one batch, row-major `[B, L]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// B, the number of texts, or of their windows.
    pub size: usize,
    /// L, the length of the longest text.
    pub length: usize,
    /// `[B, L]`, padded with the padding id.
    pub ids: Vec<i64>,
    /// `[B, L]`, 1 for a token, 0 for padding.
    pub mask: Vec<i64>,
}

/// Pads texts into one batch, each window in a row of its own.
pub fn pad(texts: &[&TokenizedText], padding_id: u32) -> Batch {
    let size = texts.iter().map(|text| text.windows()).sum();
    let length = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
    let mut ids = vec![i64::from(padding_id); size * length];
    let mut mask = vec![0; size * length];
    for (row, window) in texts.iter().flat_map(|text| text.all_ids()).enumerate() {
        for (column, &id) in window.iter().enumerate() {
            ids[row * length + column] = i64::from(id);
            mask[row * length + column] = 1;
        }
    }
    Batch { size, length, ids, mask }
}

/// The most batches that are sorted together: larger values make lengths within a batch more alike,
/// smaller ones make batches more random.
const SORTED_TOGETHER: usize = 50;

/// Groups texts into batches of similar lengths in random order, for one epoch of training. Each
/// index occurs exactly once.
///
/// All indices are shuffled. They are cut into runs of 50 batches, or of fewer, so that there are
/// at least four runs. Each run is sorted by length and cut into batches, and all batches are
/// shuffled. Texts of one length stay in random order, so that batches differ between epochs. This
/// is the grouping of `transformers`' `group_by_length`, with a random order of batches.
pub fn by_length(lengths: &[usize], batch_size: usize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let batch_size = batch_size.clamp(1, lengths.len().max(1));
    let mut indices: Vec<usize> = (0..lengths.len()).collect();
    indices.shuffle(rng);
    let run = (lengths.len() / (4 * batch_size)).clamp(1, SORTED_TOGETHER) * batch_size;
    let mut batches = Vec::with_capacity(lengths.len().div_ceil(batch_size));
    for part in indices.chunks_mut(run) {
        part.sort_by_key(|&index| lengths[index]);
        batches.extend(part.chunks(batch_size).map(<[usize]>::to_vec));
    }
    batches.shuffle(rng);
    batches
}

/// Groups texts into batches at random, whatever their lengths are: for losses that compare the
/// texts of a batch. Each index occurs once, and sizes differ by one at most.
pub fn at_random(texts: usize, batch_size: usize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts).collect();
    order.shuffle(rng);
    let count = texts.div_ceil(batch_size.max(1)).max(1);
    let bound = |batch: usize| batch * texts / count;
    let batches = (0..count).map(|batch| order[bound(batch)..bound(batch + 1)].to_vec());
    batches.filter(|batch| !batch.is_empty()).collect()
}

/// Groups texts into batches by ascending length, for evaluation; texts of equal length keep their
/// order.
pub fn in_order_by_length(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut indices: Vec<usize> = (0..lengths.len()).collect();
    indices.sort_by_key(|&index| lengths[index]);
    indices.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect()
}

/// Cuts texts, given their lengths in tokens, into batches of one length each, of at most `most`
/// texts and `pairs` pairs of tokens within texts. The order is the same whatever the order of the
/// texts.
pub fn of_equal_length(lengths: &[usize], most: usize, pairs: usize) -> Vec<Vec<usize>> {
    let mut indices: Vec<usize> = (0..lengths.len()).collect();
    indices.sort_by_key(|&index| lengths[index]);
    let cut = |indices: &[usize]| {
        let length = indices.first().map_or(1, |&index| lengths[index].max(1));
        let size = (pairs / (length * length)).clamp(1, most.max(1));
        indices.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>()
    };
    indices.chunk_by(|&one, &other| lengths[one] == lengths[other]).flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;
    use proptest::prelude::*;

    /// The number of cells of all batches, padding included.
    fn cells(batches: &[Vec<usize>], lengths: &[usize]) -> usize {
        batches
            .iter()
            .map(|batch| batch.len() * batch.iter().map(|&i| lengths[i]).max().unwrap_or(0))
            .sum()
    }

    #[test]
    fn pads_on_the_right_to_the_longest() {
        let text = |ids: &[u32]| TokenizedText { ids: ids.to_vec(), ..TokenizedText::default() };
        let batch = pad(&[&text(&[5, 6, 7]), &text(&[8])], 1);
        assert_eq!(
            batch,
            Batch { size: 2, length: 3, ids: vec![5, 6, 7, 8, 1, 1], mask: vec![1, 1, 1, 1, 0, 0] }
        );
        assert_eq!(pad(&[], 0).length, 0);
    }

    #[test]
    fn batches_of_one_length_have_each_text_once() {
        let lengths = [5, 3, 5, 5, 3, 900, 5, 900];
        let batches = of_equal_length(&lengths, 3, 1_000_000);
        assert_eq!(batches, [vec![1, 4], vec![0, 2, 3], vec![6], vec![5], vec![7]]);
        assert!(of_equal_length(&[], 3, 9).is_empty());
    }

    #[test]
    fn likeness_of_length_saves_cells_and_epochs_differ() {
        let lengths: Vec<usize> = (0..400).map(|i| 3 + (i * 37) % 60).collect();
        let first = by_length(&lengths, 16, &mut stream(1, &["epoch"], 0));
        let second = by_length(&lengths, 16, &mut stream(1, &["epoch"], 1));
        assert_ne!(first, second);
        assert_eq!(first, by_length(&lengths, 16, &mut stream(1, &["epoch"], 0)));
        let plain: Vec<Vec<usize>> =
            (0..400).collect::<Vec<_>>().chunks(16).map(<[usize]>::to_vec).collect();
        assert!(cells(&first, &lengths) * 10 < cells(&plain, &lengths) * 8);
        // Batches are not ordered by length.
        let longest: Vec<usize> =
            first.iter().filter_map(|batch| batch.iter().map(|&i| lengths[i]).max()).collect();
        assert!(!longest.is_sorted() && !longest.iter().rev().is_sorted());
    }

    #[test]
    fn evaluation_has_the_fewest_cells() {
        let lengths = [5, 1, 9, 1, 5];
        assert_eq!(in_order_by_length(&lengths, 2), [vec![1, 3], vec![0, 4], vec![2]]);
    }

    proptest! {
        #[test]
        fn every_text_occurs_once(
            lengths in prop::collection::vec(1_usize..50, 0..300),
            size in 1_usize..20,
            seed: u64,
        ) {
            let shuffled = by_length(&lengths, size, &mut stream(seed, &[], 0));
            let random = at_random(lengths.len(), size, &mut stream(seed, &[], 1));
            let sizes = random.iter().map(Vec::len);
            if let (Some(least), Some(most)) = (sizes.clone().min(), sizes.max()) {
                prop_assert!(most - least <= 1);
            }
            for batches in [shuffled, random, in_order_by_length(&lengths, size)] {
                prop_assert_eq!(batches.len(), lengths.len().div_ceil(size));
                prop_assert!(batches.iter().all(|batch| !batch.is_empty() && batch.len() <= size));
                let mut all: Vec<usize> = batches.into_iter().flatten().collect();
                all.sort_unstable();
                prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            }
        }
    }
}
