//! Batches in micro-batches that memory holds.

/// Cuts batches so that no micro-batch has more tokens, padding included, than the limit allows.
pub struct MicroBatches {
    /// The length of each text in tokens.
    pub lengths: Vec<usize>,
    /// The most tokens of a micro-batch, padding included.
    pub limit: Option<usize>,
}

impl MicroBatches {
    /// Returns the micro-batches of a batch; one text is a micro-batch however long it is.
    pub fn of<'b>(&self, batch: &'b [usize]) -> Vec<&'b [usize]> {
        let Some(limit) = self.limit else { return vec![batch] };
        let mut micro_batches = Vec::new();
        let (mut start, mut longest) = (0, 0);
        for (place, &index) in batch.iter().enumerate() {
            let now = self.lengths[index].max(longest);
            if place > start && now * (place - start + 1) > limit {
                micro_batches.push(&batch[start..place]);
                (start, longest) = (place, self.lengths[index]);
            } else {
                longest = now;
            }
        }
        micro_batches.push(&batch[start..]);
        micro_batches
    }

    /// Halves the limit after a micro-batch of this shape, texts by tokens, was too large; says
    /// whether anything smaller is left to try.
    pub fn halve(&mut self, [texts, length]: [usize; 2]) -> bool {
        self.limit = Some(texts * length / 2);
        texts > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_to_the_limit() {
        let batch = [0, 1, 2, 3, 4];
        let cut =
            |limit| MicroBatches { lengths: vec![4, 5, 6, 7, 30], limit }.of(&batch).lengths();
        assert_eq!(cut(None), [5]);
        assert_eq!(cut(Some(1000)), [5]);
        // Padded to the longest of the micro-batch: 3·6 tokens, then 7, and 30 alone though it is
        // more than is allowed.
        assert_eq!(cut(Some(18)), [3, 1, 1]);
        assert_eq!(cut(Some(14)), [2, 2, 1]);
        assert_eq!(cut(Some(1)), [1, 1, 1, 1, 1]);
    }

    #[test]
    fn memory_is_halved_down_to_one_text() {
        let mut micro_batches = MicroBatches { lengths: vec![8; 4], limit: None };
        assert!(micro_batches.halve([4, 8]));
        assert_eq!(micro_batches.of(&[0, 1, 2, 3]).lengths(), [2, 2]);
        assert!(micro_batches.halve([2, 8]));
        assert_eq!(micro_batches.of(&[0, 1, 2, 3]).lengths(), [1, 1, 1, 1]);
        assert!(!micro_batches.halve([1, 8]), "nothing smaller is left");
    }

    trait Lengths {
        fn lengths(&self) -> Vec<usize>;
    }

    impl Lengths for Vec<&[usize]> {
        fn lengths(&self) -> Vec<usize> {
            self.iter().map(|part| part.len()).collect()
        }
    }
}
