//! The normal form of labels.

use unicode_normalization::UnicodeNormalization;

/// Returns the form in which labels are equal or not: NFC, without whitespace at the ends.
pub fn normal(written: &str) -> String {
    written.trim().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn labels_keep_case_and_lose_space_at_the_ends() {
        assert_eq!(normal("\u{a0}Cafe\u{301} \r"), "Café");
        assert_eq!(normal("ﬁ  A"), "ﬁ  A");
    }
}
