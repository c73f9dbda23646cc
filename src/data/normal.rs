//! The normal form in which texts are compared.

use unicode_normalization::UnicodeNormalization;

/// Returns the form in which two texts are compared: NFKC, lower case, runs of whitespace as one
/// space, none at the ends.
pub fn normalise(text: &str) -> String {
    // NFKC may compose upper-case letters after lower-casing, so the order matters.
    let folded: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let mut normal = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::normalise;
    use proptest::prelude::*;

    #[test]
    fn folds_case_width_and_space() {
        assert_eq!(normalise("  Ｗhere\u{a0}is\t\nmy  CAFE\u{301}? "), "where is my café?");
        assert_ne!(normalise("my card"), normalise("my cards"));
        assert_eq!(normalise(" \u{3000}\n"), "");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "\\PC*") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
