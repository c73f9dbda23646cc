//! Text for people with the program's own colours, which no text of others can imitate.

use super::cut::visible;

/// A colour of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red,
    Yellow,
    Blue,
    Cyan,
    Bold,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Red => "1;31",
            Colour::Yellow => "1;33",
            Colour::Blue => "1;34",
            Colour::Cyan => "1;36",
            Colour::Bold => "1",
        }
    }
}

/// Text in pieces, each with its colour. A terminal gets the colours of the pieces; what their
/// texts hold reaches it as [`visible`] shows it.
#[derive(Clone, Debug, Default)]
pub struct Painted {
    pieces: Vec<(Option<Colour>, String)>,
}

impl Painted {
    /// Returns a text without colour.
    pub fn plain(text: impl Into<String>) -> Painted {
        Painted { pieces: vec![(None, text.into())] }
    }

    /// Adds a text without colour.
    pub fn push(&mut self, text: impl Into<String>) {
        self.pieces.push((None, text.into()));
    }

    /// Adds a text in a colour.
    pub fn paint(&mut self, colour: Colour, text: impl Into<String>) {
        self.pieces.push((Some(colour), text.into()));
    }

    /// Adds another text.
    pub fn extend(&mut self, other: Painted) {
        self.pieces.extend(other.pieces);
    }

    /// Returns the text for a terminal, or without colours.
    pub fn text(&self, with_colours: bool) -> String {
        let mut out = String::new();
        for (colour, text) in &self.pieces {
            match colour.filter(|_| with_colours && !text.is_empty()) {
                Some(colour) => {
                    out += &format!("\u{1b}[{}m{}\u{1b}[0m", colour.code(), visible(text));
                }
                None => out += &visible(text),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_colours_reach_a_terminal() {
        let mut text = Painted::default();
        text.paint(Colour::Red, "error:");
        text.push(" a \u{1b}[0m");
        assert_eq!(text.text(true), "\u{1b}[1;31merror:\u{1b}[0m a \\u{1b}[0m");
        assert_eq!(text.text(false), "error: a \\u{1b}[0m");
    }
}
