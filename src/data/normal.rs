//! The normal form in which texts are compared.

use unicode_normalization::UnicodeNormalization;

/// Returns the form in which two texts are compared: without signs that cannot be seen, NFKC, lower
/// case, runs of whitespace as one space, none at the ends.
pub fn normalise(text: &str) -> String {
    // NFKC may compose upper-case letters after lower-casing, so the order matters.
    let visible = text.chars().filter(|&sign| !is_invisible(sign));
    let folded: String = visible.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let mut normal = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    normal
}

/// Says whether nothing of a text can be seen.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|sign| sign.is_whitespace() || is_invisible(sign))
}

/// Says whether a sign leaves no trace on a screen: Unicode's Default_Ignorable_Code_Point (soft
/// hyphens, joiners, direction marks, byte order marks, variation selectors, fillers), marks of
/// annotations and control characters that are no whitespace.
pub fn is_invisible(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    ) || (sign.is_control() && !sign.is_whitespace())
}

/// Returns a text with escapes in place of signs that cannot be seen and of spaces other than the
/// usual one, so that texts that differ look different.
pub fn revealed(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        if is_invisible(sign) || (sign.is_whitespace() && sign != ' ') {
            shown.extend(sign.escape_unicode());
        } else {
            shown.push(sign);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folds_case_width_and_space() {
        assert_eq!(normalise("  Ｗhere\u{a0}is\t\nmy  CAFE\u{301}? "), "where is my café?");
        assert_ne!(normalise("my card"), normalise("my cards"));
        assert_eq!(normalise(" \u{3000}\n"), "");
    }

    #[test]
    fn drops_what_cannot_be_seen() {
        for (hidden, plain) in [
            ("my card\u{200b} is lost", "my card is lost"),
            ("coop\u{ad}erate", "cooperate"),
            ("\u{feff}hello", "hello"),
            ("\u{200e}order \u{2067}now\u{2069}", "order now"),
            ("a\u{34f}b\u{2060}c\u{180e}d\u{0}e", "abcde"),
            ("e\u{200d}\u{301}", "é"),
            ("❤\u{fe0f}", "❤"),
            ("می\u{200c}خواهم", "میخواهم"),
            ("\u{3164}x\u{ffa0}", "x"),
            ("x\u{e0067}\u{e007f}", "x"),
        ] {
            assert_eq!(normalise(hidden), plain, "{hidden:?}");
        }
        assert!(is_blank(" \u{200b}\n\u{feff}") && !is_blank(" . "));
        assert_ne!(normalise("a-b"), normalise("ab"));
    }

    #[test]
    fn what_cannot_be_seen_is_revealed() {
        assert_eq!(revealed("a\u{200b} b\u{a0}é"), "a\\u{200b} b\\u{a0}é");
    }

    proptest! {
        #[test]
        fn twice_is_once(text in "(\\PC|\\p{Cf}|\\p{Mn}){0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
