//! Batches in parts that memory holds.

/// Cuts batches so that no part has more tokens, padding included, than the limit allows.
pub struct Pieces<'a> {
    /// The length of each text in tokens.
    pub lengths: &'a [usize],
    /// The most tokens of a part, padding included.
    pub limit: Option<usize>,
}

impl Pieces<'_> {
    /// Returns the parts of a batch; one text is a part however long it is.
    pub fn of<'b>(&self, batch: &'b [usize]) -> Vec<&'b [usize]> {
        let Some(limit) = self.limit else { return vec![batch] };
        let mut parts = Vec::new();
        let (mut start, mut longest) = (0, 0);
        for (place, &index) in batch.iter().enumerate() {
            let now = self.lengths[index].max(longest);
            if place > start && now * (place - start + 1) > limit {
                parts.push(&batch[start..place]);
                (start, longest) = (place, self.lengths[index]);
            } else {
                longest = now;
            }
        }
        parts.push(&batch[start..]);
        parts
    }

    /// Halves the limit after a part of this shape, texts by tokens, was too large; says whether
    /// anything smaller is left to try.
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
        let lengths = [4, 5, 6, 7, 30];
        let batch = [0, 1, 2, 3, 4];
        let cut = |limit| Pieces { lengths: &lengths, limit }.of(&batch).lengths();
        assert_eq!(cut(None), [5]);
        assert_eq!(cut(Some(1000)), [5]);
        // Padded to the longest of the part: 3·6 tokens, then 7, and 30 alone though it is more
        // than is allowed.
        assert_eq!(cut(Some(18)), [3, 1, 1]);
        assert_eq!(cut(Some(14)), [2, 2, 1]);
        assert_eq!(cut(Some(1)), [1, 1, 1, 1, 1]);
    }

    #[test]
    fn memory_is_halved_down_to_one_text() {
        let lengths = [8, 8, 8, 8];
        let mut pieces = Pieces { lengths: &lengths, limit: None };
        assert!(pieces.halve([4, 8]));
        assert_eq!(pieces.of(&[0, 1, 2, 3]).lengths(), [2, 2]);
        assert!(pieces.halve([2, 8]));
        assert_eq!(pieces.of(&[0, 1, 2, 3]).lengths(), [1, 1, 1, 1]);
        assert!(!pieces.halve([1, 8]), "nothing smaller is left");
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
