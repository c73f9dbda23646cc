//! Batches of like length, padded to the batch's longest.

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
