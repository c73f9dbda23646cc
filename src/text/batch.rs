//! Batches of like length, padded to the batch's longest.

use rand::Rng;

use super::tokenizer::TokenizedText;

/// Token ids and mask of one batch, row-major `[B, L]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// B, the number of texts.
    pub size: usize,
    /// L, the length of the longest.
    pub length: usize,
    /// `[B, L]`, padded with the padding id.
    pub ids: Vec<i64>,
    /// `[B, L]`, 1 for a token, 0 for padding.
    pub mask: Vec<i64>,
}

/// Pads texts into one batch.
pub fn pad(texts: &[&TokenizedText], padding_id: u32) -> Batch {
    let size = texts.len();
    let length = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
    let mut ids = vec![i64::from(padding_id); size * length];
    let mut mask = vec![0; size * length];
    for (row, text) in texts.iter().enumerate() {
        for (column, &id) in text.ids.iter().enumerate() {
            ids[row * length + column] = i64::from(id);
            mask[row * length + column] = 1;
        }
    }
    Batch { size, length, ids, mask }
}

/// Batches that texts are sorted by length within, so that neighbours are of like length without batches being the same each epoch.
const BATCHES_PER_CHUNK: usize = 50;

/// Returns one epoch's batches of text numbers: every text once, texts of like length together, batches in random order.
///
/// The texts are shuffled, cut into chunks of fifty batches, sorted by length within a chunk, cut into batches, and the batches are
/// shuffled. Only the batch with the longest texts of the last chunk may be smaller than `size`.
pub fn by_length(lengths: &[usize], size: usize, random: &mut impl Rng) -> Vec<Vec<usize>> {
    let size = size.max(1);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    shuffle(&mut order, random);
    let mut batches = Vec::new();
    for chunk in order.chunks_mut(size * BATCHES_PER_CHUNK) {
        // A stable sort: texts of equal length stay shuffled.
        chunk.sort_by_key(|&index| lengths[index]);
        batches.extend(chunk.chunks(size).map(<[usize]>::to_vec));
    }
    shuffle(&mut batches, random);
    batches
}

/// Returns batches of text numbers for prediction: every text once, by falling length, so that the largest need of memory comes first.
pub fn in_order_by_length(lengths: &[usize], size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(lengths[index]));
    order.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
}

/// Shuffles in place (Fisher & Yates), every order equally likely up to a bias below 2⁻³² for the sizes that occur.
fn shuffle<T>(items: &mut [T], random: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        // The high half of a 128-bit product maps 64 random bits to 0..=last.
        let other = ((u128::from(random.next_u64()) * (last as u128 + 1)) >> 64) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed::stream;

    fn text(ids: &[u32]) -> TokenizedText {
        TokenizedText { ids: ids.to_vec(), truncated: false }
    }

    #[test]
    fn padding_is_hidden() {
        let batch = pad(&[&text(&[5, 6, 7]), &text(&[8])], 1);
        assert_eq!((batch.size, batch.length), (2, 3));
        assert_eq!(batch.ids, [5, 6, 7, 8, 1, 1]);
        assert_eq!(batch.mask, [1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn every_text_comes_once_with_its_like() {
        let lengths: Vec<usize> = (0..103).map(|index| index * 7 % 50).collect();
        let epoch = |number| by_length(&lengths, 8, &mut stream(1, &["test"], number));
        let first = epoch(1);
        let mut all: Vec<usize> = first.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_eq!(first.len(), 13);
        let padding = |batches: &[Vec<usize>]| -> usize {
            batches
                .iter()
                .map(|batch| {
                    let longest = batch.iter().map(|&index| lengths[index]).max().unwrap_or(0);
                    batch.iter().map(|&index| longest - lengths[index]).sum::<usize>()
                })
                .sum()
        };
        assert!(padding(&first) < 103 * 5, "{}", padding(&first));
        assert_eq!(first, epoch(1));
        assert_ne!(first, epoch(2));
    }

    #[test]
    fn predictions_start_with_the_longest() {
        assert_eq!(in_order_by_length(&[3, 9, 3, 5], 3), [vec![1, 3, 0], vec![2]]);
    }
}
