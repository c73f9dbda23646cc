//! Texts for people: cut, and without signs that steer a terminal or hide.

use std::borrow::Cow;

/// The most characters of a text in a table. Files for programs have whole texts.
pub const MOST: usize = 160;

/// Cuts a text to `most` characters; an ellipsis marks the cut.
pub fn cut(text: &str, most: usize) -> String {
    // A text of many megabytes is not gone through.
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Shows what a terminal would obey, or nobody would see, as `\u{1b}`: control characters, marks
/// that turn the direction of what follows, and characters without a width. Line breaks and tabs
/// stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && c != '\t')
}

/// Shows the same and also line breaks and tabs, as `\n` and `\t`: for what stays on its line.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    shown(text, |_| true)
}

fn shown(text: &str, may_change: fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        if may_change(c) && is_hidden(before, c, after) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        before = c;
    }
    Cow::Owned(out)
}

/// Says whether a character, between its neighbours, is obeyed or not seen.
fn is_hidden(before: char, c: char, after: char) -> bool {
    match c {
        // They join letters of some scripts, also at the end of a word, and signs to one picture.
        '\u{200c}' | '\u{200d}' => before.is_ascii(),
        // They say where a word may break, in scripts beside ASCII's as in German.
        '\u{ad}' | '\u{200b}' => {
            !(before.is_alphabetic() && after.is_alphabetic())
                || (c == '\u{200b}' && before.is_ascii())
        }
        // Flags of countries within a country.
        '\u{e0020}'..='\u{e007f}' => !matches!(before, '\u{1f3f4}' | '\u{e0020}'..='\u{e007f}'),
        '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{180b}'..='\u{180d}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{180e}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e001f}'
        | '\u{e0100}'..='\u{e01ef}' => true,
        c => c.is_control(),
    }
}

/// Returns a text on one line, with a blank for any white space, cut to `most` characters.
pub fn line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        // The words so far may fit to the last character, and the next shows that there is more.
        if count > most + 1 {
            break;
        }
        if count > 0 {
            line.push(' ');
        }
        // One character more than fits shows that there is more.
        let kept: String = word.chars().take(most + 1).collect();
        count += kept.chars().count() + 1;
        line.push_str(&kept);
    }
    cut(&visible(&line), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("größer als", 7), "größer…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        for (text, shown) in [
            ("\u{1b}[31mred\u{202e}x\n\ty é", "\\u{1b}[31mred\\u{202e}x\n\ty é"),
            ("\u{1b}]52;c;eA==\u{7}", "\\u{1b}]52;c;eA==\\u{7}"),
            ("\u{9b}31m\u{7f}\r", "\\u{9b}31m\\u{7f}\\r"),
            ("pay\u{200b}pal\u{2066}\u{feff}", "pay\\u{200b}pal\\u{2066}\\u{feff}"),
            ("plain \\u{1b} and ~", "plain \\u{1b} and ~"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(&visible(text)), shown);
        }
        assert_eq!(visible_line("a\n\tb"), "a\\n\\tb");
        assert_eq!(line("a\u{7}b", 9), "a\\u{7}b");
    }

    #[test]
    fn scripts_and_pictures_stay_whole() {
        for text in
            ["می\u{200c}خواهم", "👩\u{200d}🔬", "❤\u{fe0f}", "שלום", "e\u{301}", "数字\u{a0}"]
        {
            assert_eq!(visible(text), text);
        }
        assert_eq!(visible("a\u{200d}b"), "a\\u{200d}b");
    }

    #[test]
    fn a_line_is_cut_wherever_the_white_space_is() {
        assert_eq!(line(" a\n\tb  c ", 5), "a b c");
        assert_eq!(line("a b c d", 5), "a b…");
        assert_eq!(line("abcdef", 5), "abcd…");
        assert_eq!(line("abcde f", 5), "abcd…");
        let long = "word ".repeat(1_000_000);
        assert_eq!(line(&long, MOST).chars().count(), MOST);
        assert_eq!(line(&"x".repeat(1_000_000), MOST).chars().count(), MOST);
    }
}
