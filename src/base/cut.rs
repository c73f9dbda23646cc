//! Texts in tables for people: cut, and without signs that steer a terminal.

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

/// Replaces the signs of a text that a terminal would obey: escapes, and marks that turn the
/// direction of what follows. Line breaks and tabs stay.
pub fn harmless(text: &str) -> String {
    let obeyed = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
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
    harmless(&cut(&line, most))
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
        assert_eq!(harmless("\u{1b}[31mred\u{202e}x\n\ty é"), "\u{fffd}[31mred\u{fffd}x\n\ty é");
        assert_eq!(line("a\u{7}b", 9), "a\u{fffd}b");
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
