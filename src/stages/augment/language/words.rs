//! A text as words that can be moved while its spaces and punctuation stay.

use std::borrow::Cow;

use smallvec::SmallVec;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::in_turn::{Neighbours, slots};

/// A text cut into words: at its whitespace, and between the characters of Chinese and Japanese,
/// which have none. Written out unchanged, it is the text again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<'a> {
    words: Sequence<'a>,
    /// The whitespace after the last word.
    end: &'a str,
    /// The text before any change.
    source: &'a str,
}

/// Most texts have few enough words to need no heap memory.
type Sequence<'a> = SmallVec<[Word<'a>; 32]>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word<'a> {
    /// The word with the whitespace before it and its punctuation. Most words are written out as
    /// they were read, in one piece.
    whole: &'a str,
    /// Its range in the text.
    start: u32,
    /// The start of the word with its punctuation, and the start and end of the bare word. A word
    /// of punctuation alone is bare as a whole.
    token: u32,
    bare: [u32; 2],
    /// The replacement of the whitespace.
    other_gap: Option<&'a str>,
    /// The replacement of the bare word.
    other_bare: Option<Cow<'a, str>>,
}

impl<'a> Word<'a> {
    fn gap(&self) -> &'a str {
        self.other_gap.unwrap_or(&self.whole[..self.token as usize])
    }

    fn before(&self) -> &'a str {
        &self.whole[self.token as usize..self.bare[0] as usize]
    }

    fn bare(&self) -> &str {
        self.other_bare
            .as_deref()
            .unwrap_or(&self.whole[self.bare[0] as usize..self.bare[1] as usize])
    }

    fn take_bare(&mut self) -> Cow<'a, str> {
        let own = &self.whole[self.bare[0] as usize..self.bare[1] as usize];
        self.other_bare.take().unwrap_or(Cow::Borrowed(own))
    }

    fn after(&self) -> &'a str {
        &self.whole[self.bare[1] as usize..]
    }

    /// Gives the space before this word to a new one, so that the first word stays at the start of
    /// the text.
    fn give_gap(&mut self, new: &str) -> &'a str {
        let gap = self.gap();
        self.other_gap =
            Some(space_between(new, self.before().chars().chain(self.bare().chars()).next()));
        gap
    }

    /// Returns the space between this word, the last one, and a new one.
    fn gap_after(&self, new: &str) -> &'static str {
        let before = [self.before(), self.bare(), self.after()].concat();
        space_between(&before, new.chars().next())
    }

    /// Creates an inserted word.
    fn new(gap: &'a str, bare: Cow<'a, str>) -> Word<'a> {
        Word {
            whole: "",
            start: 0,
            token: 0,
            bare: [0, 0],
            other_gap: Some(gap),
            other_bare: Some(bare),
        }
    }

    /// Reads the word in `whole`, which starts at `start` in the text and whose whitespace ends at
    /// `token`.
    fn of(whole: &'a str, start: usize, token: usize) -> Word<'a> {
        let part = &whole[token..];
        let mut bare = [token, whole.len()];
        if let Some(first) = part.find(char::is_alphanumeric) {
            // A combining mark belongs to the letter before it.
            let in_word = |c: char| c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c));
            let last = part.char_indices().rev().find(|(_, c)| in_word(*c));
            bare = [token + first, last.map_or(whole.len(), |(at, c)| token + at + c.len_utf8())];
        }
        Word {
            whole,
            start: start as u32,
            token: token as u32,
            bare: bare.map(|at| at as u32),
            other_gap: None,
            other_bare: None,
        }
    }
}

impl<'a> Words<'a> {
    /// Cuts a text.
    pub fn of(text: &'a str) -> Words<'a> {
        if text.is_ascii() { Words::of_ascii(text) } else { Words::of_unicode(text) }
    }

    /// The same by bytes, because fast methods spend most of their time on finding the words.
    fn of_ascii(text: &'a str) -> Words<'a> {
        let bytes = text.as_bytes();
        let is_space = |at: usize| matches!(bytes[at], b' ' | 9..=13);
        let mut words = Sequence::new();
        let mut at = 0;
        loop {
            let gap = at;
            while at < bytes.len() && is_space(at) {
                at += 1;
            }
            let start = at;
            while at < bytes.len() && !is_space(at) {
                at += 1;
            }
            if start == at {
                return Words { words, end: &text[gap..start], source: text };
            }
            let (mut first, mut last) = (start, at);
            if let Some(place) = bytes[start..at].iter().position(u8::is_ascii_alphanumeric) {
                first = start + place;
                while !bytes[last - 1].is_ascii_alphanumeric() {
                    last -= 1;
                }
            }
            words.push(Word {
                whole: &text[gap..at],
                start: gap as u32,
                token: (start - gap) as u32,
                bare: [(first - gap) as u32, (last - gap) as u32],
                other_gap: None,
                other_bare: None,
            });
        }
    }

    fn of_unicode(text: &'a str) -> Words<'a> {
        let mut words = Sequence::new();
        let mut rest = text;
        loop {
            let start = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
            if start == rest.len() {
                return Words { words, end: rest, source: text };
            }
            let length = rest[start..].find(char::is_whitespace).unwrap_or(rest.len() - start);
            let (whole, after) = rest.split_at(start + length);
            let place = text.len() - rest.len();
            if whole.chars().any(is_unspaced) {
                cut_unspaced(whole, place, start, &mut words);
            } else {
                words.push(Word::of(whole, place, start));
            }
            rest = after;
        }
    }

    /// Returns l, the number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the words without the punctuation around them.
    pub fn bare(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(Word::bare)
    }

    /// Returns the content words in lower case, by their place: words with a letter or digit that
    /// are no stop words.
    pub fn content(&self, is_stop_word: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
        let lower = self.bare().map(str::to_lowercase).enumerate();
        lower
            .filter(|(_, word)| word.chars().any(char::is_alphanumeric) && !is_stop_word(word))
            .collect()
    }

    /// Returns the words with their punctuation. [`join`] turns them into a text.
    pub fn surfaces(&self) -> impl Iterator<Item = String> {
        self.words.iter().map(|word| [word.before(), word.bare(), word.after()].concat())
    }

    /// Cuts the text into pieces of `size` words, without the space around them; the last one may
    /// be shorter.
    pub fn pieces(&self, size: usize) -> Vec<String> {
        let piece = |words: &[Word<'a>]| {
            Words { words: words.into(), end: "", source: self.source }.text().trim().to_owned()
        };
        self.words.chunks(size.max(1)).map(piece).collect()
    }

    /// Returns the byte of the text where a word without its punctuation starts.
    pub fn start_of_bare(&self, place: usize) -> usize {
        self.words.get(place).map_or(self.source.len(), |word| (word.start + word.bare[0]) as usize)
    }

    /// Inserts a word before the one at `place`, or at the end if `place` is the number of words.
    pub fn insert(&mut self, place: usize, bare: Cow<'a, str>) {
        let gap = match self.words.get_mut(place) {
            Some(next) => next.give_gap(&bare),
            None => self.words.last().map_or("", |last| last.gap_after(&bare)),
        };
        self.words.insert(place.min(self.words.len()), Word::new(gap, bare));
    }

    /// Inserts words one after the other, each before the one that is at its place then, as
    /// [`Words::insert`] does. The time does not grow with the product of the numbers of words.
    pub fn insert_in_turn(&mut self, new: Vec<(usize, Cow<'a, str>)>) {
        // Moving few words costs less than the bookkeeping.
        const MOST: usize = 1 << 14;
        if new.len() * self.words.len() <= MOST {
            new.into_iter().for_each(|(place, bare)| self.insert(place, bare));
            return;
        }
        let (old, count) = (self.words.len(), self.words.len() + new.len());
        let slots = slots(new.iter().map(|(place, _)| *place), count);
        let mut order: Vec<Option<usize>> = vec![None; count];
        slots.iter().enumerate().for_each(|(turn, &slot)| order[slot] = Some(turn));
        // Taken out in reverse, each word has the neighbours that it met.
        let mut neighbours = Neighbours::new(count);
        let mut met = vec![(None, None); new.len()];
        for (turn, &slot) in slots.iter().enumerate().rev() {
            met[turn] = neighbours.remove(slot);
        }
        let mut words: Vec<Option<Word<'a>>> = vec![None; count];
        let originals = (0..count).filter(|&slot| order[slot].is_none());
        let before = std::mem::take(&mut self.words);
        debug_assert_eq!(before.len(), old);
        originals.zip(before).for_each(|(slot, word)| words[slot] = Some(word));
        for ((slot, (previous, next)), (_, bare)) in slots.into_iter().zip(met).zip(new) {
            let gap = match next.and_then(|next: usize| words[next].as_mut()) {
                Some(next) => next.give_gap(&bare),
                None => previous
                    .and_then(|previous: usize| words[previous].as_ref())
                    .map_or("", |last| last.gap_after(&bare)),
            };
            words[slot] = Some(Word::new(gap, bare));
        }
        self.words = words.into_iter().flatten().collect();
    }

    /// Replaces a word and keeps its capitals: `Card,` becomes `Ticket,`.
    pub fn replace(&mut self, place: usize, word: &str) {
        if let Some(found) = self.words.get_mut(place) {
            found.other_bare = Some(Cow::Owned(with_capitals_of(found.bare(), word)));
        }
    }

    /// Replaces a word without changing the capitals of the new one.
    pub fn put(&mut self, place: usize, word: &'a str) {
        if let Some(found) = self.words.get_mut(place) {
            found.other_bare = Some(Cow::Borrowed(word));
        }
    }

    /// Replaces a word with its punctuation by another.
    pub fn set(&mut self, place: usize, surface: &'a str) {
        if let Some(found) = self.words.get_mut(place) {
            *found = Word::new(found.gap(), Cow::Borrowed(surface));
        }
    }

    /// Exchanges two words; spaces and punctuation stay where they are.
    pub fn swap(&mut self, one: usize, other: usize) {
        let (low, high) = (one.min(other), one.max(other));
        if low < high && high < self.words.len() {
            let (left, right) = self.words.split_at_mut(high);
            let (one, other) = (left[low].take_bare(), right[0].take_bare());
            left[low].other_bare = Some(other);
            right[0].other_bare = Some(one);
        }
    }

    /// Writes the text out.
    pub fn text(&self) -> String {
        self.text_of(|_| true)
    }

    /// Writes the text out with only the words whose place `keep` accepts, and their punctuation.
    pub fn text_of(&self, keep: impl Fn(usize) -> bool) -> String {
        // With capacity for a few longer words.
        let mut text = String::with_capacity(self.source.len() + 24);
        // Unchanged neighbours are copied together.
        let mut run = 0..0;
        let mut is_first = true;
        for (place, word) in self.words.iter().enumerate().filter(|(place, _)| keep(*place)) {
            // The space before the first word of the text stays at its start.
            let moved = is_first && place > 0;
            is_first = false;
            if word.other_bare.is_none() && word.other_gap.is_none() && !moved {
                let start = word.start as usize;
                if run.end != start || run.is_empty() {
                    text.push_str(&self.source[run]);
                    run = start..start;
                    if word.token == 0 {
                        text.push_str(space_if_glued(&text, word.whole.chars().next()));
                    }
                }
                run.end = start + word.whole.len();
                continue;
            }
            text.push_str(&self.source[run]);
            run = 0..0;
            let mut gap = if moved { self.words[0].gap() } else { word.gap() };
            if gap.is_empty() {
                gap =
                    space_if_glued(&text, word.before().chars().chain(word.bare().chars()).next());
            }
            for part in [gap, word.before(), word.bare(), word.after()] {
                text.push_str(part);
            }
        }
        text.push_str(&self.source[run]);
        text.push_str(self.end);
        text
    }
}

/// Returns whether a character belongs to a script without spaces between words, whose characters
/// are words or syllables: Chinese and Japanese.
pub(in crate::stages::augment) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9D}' | '\u{20000}'..='\u{3FFFF}')
}

/// Joins words or pieces of text with one space between them, or none beside Chinese and Japanese
/// characters.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(space_between(&text, part.chars().next()));
        text.push_str(part);
    }
    text
}

/// Returns the separator between a text and its continuation: a space, or nothing at an end and
/// beside Chinese and Japanese characters and their punctuation.
fn space_between(before: &str, next: Option<char>) -> &'static str {
    let unspaced =
        |c: char| is_unspaced(c) || matches!(c, '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FFEF}');
    let none = before.chars().next_back().is_none_or(unspaced) || next.is_none_or(unspaced);
    if none { "" } else { " " }
}

/// Returns a space if two words would be read as one: words of other scripts may become neighbours
/// in a Chinese or Japanese text.
fn space_if_glued(before: &str, next: Option<char>) -> &'static str {
    let is_letter = |c: char| c.is_alphanumeric() && !is_unspaced(c);
    let glued = before.chars().next_back().is_some_and(is_letter) && next.is_some_and(is_letter);
    if glued { " " } else { "" }
}

/// Cuts a token of such a script, after `token` bytes of space, at Unicode's word boundaries (UAX
/// 29). Punctuation stays with the word before it, or with the first word. A token without words is
/// one word.
fn cut_unspaced<'a>(whole: &'a str, place: usize, token: usize, words: &mut Sequence<'a>) {
    let parts = whole[token..].split_word_bound_indices();
    let mut starts: Vec<usize> = parts
        .filter(|(_, part)| part.chars().any(char::is_alphanumeric))
        .map(|(at, _)| token + at)
        .collect();
    if starts.is_empty() {
        starts.push(0);
    }
    // The space before the token belongs to its first word.
    starts[0] = 0;
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(whole.len());
        words.push(Word::of(&whole[start..end], place + start, if index == 0 { token } else { 0 }));
    }
}

/// Writes a word with the capitals of another: all letters, the first letter, or unchanged.
fn with_capitals_of(pattern: &str, word: &str) -> String {
    let mut letters = pattern.chars().filter(|c| c.is_alphabetic());
    let first_is_upper = letters.next().is_some_and(char::is_uppercase);
    let rest: Vec<char> = letters.collect();
    if first_is_upper && !rest.is_empty() && rest.iter().all(|c| c.is_uppercase()) {
        return word.to_uppercase();
    }
    let mut chars = word.chars();
    match chars.next() {
        Some(first) if first_is_upper => first.to_uppercase().chain(chars).collect(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edits_keep_spaces_and_punctuation() {
        let text = "  Where's my\n(new) card? ";
        let mut words = Words::of(text);
        assert_eq!(words.bare().collect::<Vec<_>>(), ["Where's", "my", "new", "card"]);
        words.swap(0, 3);
        assert_eq!(words.text(), "  card my\n(new) Where's? ");
        words.replace(3, "pass");
        assert_eq!(words.text_of(|place| place > 0), "  my\n(new) Pass? ");
        words.insert(0, "a".into());
        words.insert(4, "b".into());
        words.insert(6, "c".into());
        assert_eq!(words.text(), "  a card my\n(new) b Pass? c ");
        let mut none = Words::of(" ");
        assert!(none.is_empty());
        none.insert(0, "a".into());
        assert_eq!(none.text(), "a ");
    }

    proptest! {
        /// One after the other and in turn is the same, whatever stands between the words.
        #[test]
        fn words_inserted_in_turn_are_those_inserted_one_by_one(
            text in "([a-c][.,]?[ \n]{1,2}|\u{4e2d}|\u{3001}){0,12}",
            seeds in prop::collection::vec((0.0..1.0_f64, 0..4_usize), 1..8),
            many in 1..400_usize,
        ) {
            // Long enough for the way of long texts, and as short as texts are.
            for text in [text.repeat(many), text] {
                let l = Words::of(&text).len();
                let times = (20_000 / l.max(1) / seeds.len()).clamp(1, 40);
                let new: Vec<(usize, Cow<'_, str>)> = (0..times)
                    .flat_map(|_| &seeds)
                    .enumerate()
                    .map(|(turn, (share, word))| {
                        // Beyond the end is the end.
                        let place = (share * (l + turn + 2) as f64) as usize;
                        (place, Cow::Borrowed([".", "x", "\u{4e2d}", "y z"][*word]))
                    })
                    .collect();
                let (mut one_by_one, mut in_turn) = (Words::of(&text), Words::of(&text));
                new.iter().for_each(|(place, word)| one_by_one.insert(*place, word.clone()));
                in_turn.insert_in_turn(new);
                prop_assert_eq!(&one_by_one, &in_turn);
                prop_assert_eq!(one_by_one.text(), in_turn.text());
            }
        }
    }

    #[test]
    fn chinese_and_japanese_are_cut_between_signs() {
        let mut words = Words::of("我的卡，在 ATM里。カード!");
        assert_eq!(
            words.bare().collect::<Vec<_>>(),
            ["我", "的", "卡", "在", "ATM", "里", "カード"]
        );
        words.swap(0, 2);
        words.insert(1, "新".into());
        words.insert(8, "卡".into());
        assert_eq!(words.text(), "卡新的我，在 ATM里。カード!卡");
        assert_eq!(Words::of("、。").len(), 1, "punctuation alone is one word, as elsewhere");
    }

    #[test]
    fn pieces_and_words_join_as_their_script_does() {
        assert_eq!(Words::of(" a b,\nc  d e ").pieces(2), ["a b,", "c  d", "e"]);
        assert_eq!(join(["a", "b,", "c"]), "a b, c");
        assert_eq!(join(["我的", "卡。", "ATM", "里"]), "我的卡。ATM里");
    }

    #[test]
    fn words_of_other_scripts_are_not_glued_together() {
        let mut words = Words::of("请cancel我的order，ATM里card");
        let l = words.len();
        words.swap(0, 1);
        assert_eq!(words.text(), "cancel请我的order，ATM里card");
        assert_eq!(words.text_of(|place| ![0, 2, 3].contains(&place)), "请order，ATM里card");
        assert_eq!(Words::of("请cancel我order").text_of(|place| place != 2), "请cancel order");
        assert_eq!(Words::of(&words.text()).len(), l);
        let mut words = Words::of("里card 卡");
        words.insert(1, "ATM".into());
        assert_eq!(words.text(), "里ATM card 卡");
        words.set(3, "(bank)");
        assert_eq!(words.text(), "里ATM card (bank)");
    }

    #[test]
    fn letters_keep_their_marks() {
        let mut words = Words::of("cafe\u{301}, हिन्दी! שלום. 👍🏽 ok");
        assert_eq!(words.bare().collect::<Vec<_>>(), ["cafe\u{301}", "हिन्दी", "שלום", "👍🏽", "ok"]);
        words.swap(0, 3);
        assert_eq!(words.text(), "👍🏽, हिन्दी! שלום. cafe\u{301} ok");
    }

    #[test]
    fn capitals_are_kept() {
        let cases = [
            ("Card", "ticket", "Ticket"),
            ("CARD", "ticket", "TICKET"),
            ("card", "Berlin", "Berlin"),
            ("A", "an", "An"),
        ];
        for (pattern, word, expected) in cases {
            assert_eq!(with_capitals_of(pattern, word), expected);
        }
    }

    #[test]
    fn content_is_told_from_grammar() {
        let words = Words::of("The card - (The card!) £5");
        let content = words.content(|word| word == "the");
        let content: Vec<(usize, &str)> =
            content.iter().map(|(place, word)| (*place, word.as_str())).collect();
        assert_eq!(content, [(1, "card"), (4, "card"), (5, "5")]);
    }

    proptest! {
        #[test]
        fn bytes_and_signs_make_the_same_words(
            text in "[ -~\\t\\n\\x0b\\x0c\\r\\x00\\x1c\\x7f]{0,60}",
        ) {
            prop_assert_eq!(Words::of_ascii(&text), Words::of_unicode(&text));
        }

        #[test]
        fn written_out_unchanged_they_are_the_text(text in any::<String>()) {
            let words = Words::of(&text);
            prop_assert_eq!(words.text(), text.as_str());
            prop_assert!(words.len() >= text.split_whitespace().count());
            let surfaces: Vec<String> = words.surfaces().collect();
            let without_space = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(surfaces.concat(), without_space(&text));
            let joined = join(surfaces.iter().map(String::as_str));
            prop_assert_eq!(without_space(&joined), without_space(&text));
            prop_assert_eq!(without_space(&words.pieces(3).concat()), without_space(&text));
        }

        #[test]
        fn swaps_and_removals_keep_letters_whole(
            text in "(\\PC|e\u{301}|卡|👍🏽| ){0,40}", one: usize, other: usize,
        ) {
            let mut words = Words::of(&text);
            prop_assume!(words.len() > 1);
            let (one, other) = (one % words.len(), other % words.len());
            let sorted = |text: &str| {
                let mut signs: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
                signs.sort_unstable();
                signs
            };
            words.swap(one, other);
            prop_assert_eq!(sorted(&words.text()), sorted(&text));
            words.swap(one, other);
            let without_space = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without_space(words.text().as_ref()), without_space(&text));
            let marks = text.matches("e\u{301}").count();
            words.swap(one, other);
            let marks_after = words.text().matches("e\u{301}").count();
            prop_assert!(marks_after >= marks);
            prop_assert!(!words.text_of(|place| place != one).trim().is_empty());
        }
    }
}
