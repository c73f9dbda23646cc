//! A text as words that can be moved without losing its spaces and punctuation.

use std::fmt;

/// A text cut at its whitespace. Written out unchanged it gives the text back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<'a> {
    words: Vec<Word<'a>>,
    /// The whitespace after the last word.
    end: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    /// The whitespace before the word.
    gap: &'a str,
    /// The word with its punctuation.
    text: &'a str,
}

impl<'a> Words<'a> {
    /// Cuts a text.
    pub fn of(text: &'a str) -> Words<'a> {
        let mut words = Vec::new();
        let mut rest = text;
        loop {
            let start = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
            let (gap, after) = rest.split_at(start);
            if after.is_empty() {
                return Words { words, end: gap };
            }
            let (text, after) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
            words.push(Word { gap, text });
            rest = after;
        }
    }

    /// Returns l, the number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Says whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the words without the punctuation around them; one of punctuation alone is empty.
    pub fn bare(&self) -> impl Iterator<Item = &'a str> {
        self.words.iter().map(|word| word.text.trim_matches(|c: char| !c.is_alphanumeric()))
    }

    /// Inserts a word before the one at `place`, or after all for the number of words.
    pub fn insert(&mut self, place: usize, word: &'a str) {
        let alone = self.words.is_empty();
        let gap = match self.words.get_mut(place) {
            // The newcomer takes the space before its place, so that a text's first word stays at its start.
            Some(next) => std::mem::replace(&mut next.gap, " "),
            None if alone => "",
            None => " ",
        };
        self.words.insert(place.min(self.words.len()), Word { gap, text: word });
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in &self.words {
            f.write_str(word.gap)?;
            f.write_str(word.text)?;
        }
        f.write_str(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn insertions_keep_spaces_and_punctuation() {
        let mut words = Words::of("  Where's my\n(new) card? ");
        assert_eq!(words.bare().collect::<Vec<_>>(), ["Where's", "my", "new", "card"]);
        words.insert(0, "a");
        words.insert(3, "b");
        words.insert(6, "c");
        assert_eq!(words.to_string(), "  a Where's my\nb (new) card? c ");
        let mut none = Words::of(" ");
        assert!(none.is_empty());
        none.insert(0, "a");
        assert_eq!(none.to_string(), "a ");
    }

    proptest! {
        #[test]
        fn written_out_unchanged_they_are_the_text(text in any::<String>()) {
            let words = Words::of(&text);
            prop_assert_eq!(words.to_string(), text.as_str());
            prop_assert_eq!(words.len(), text.split_whitespace().count());
            prop_assert_eq!(words.bare().count(), words.len());
        }
    }
}
