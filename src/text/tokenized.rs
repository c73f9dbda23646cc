//! The tokens of a text.

/// The token ids of one text, special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizedText {
    /// The first window, or all of the text.
    pub ids: Vec<u32>,
    /// The further windows, none of which is longer than the first.
    pub more: Vec<Vec<u32>>,
    /// Whether the text was longer than the requested length, and was cut.
    pub truncated: bool,
}

impl TokenizedText {
    /// Returns the number of windows, from 1.
    pub fn windows(&self) -> usize {
        1 + self.more.len()
    }

    /// Returns the windows in their order.
    pub fn all_ids(&self) -> impl Iterator<Item = &Vec<u32>> {
        std::iter::once(&self.ids).chain(&self.more)
    }

    /// Returns the same windows with other ids.
    pub fn map_ids(&self, other: impl Fn(u32) -> u32) -> TokenizedText {
        let all = |ids: &Vec<u32>| ids.iter().map(|&id| other(id)).collect();
        let more = self.more.iter().map(all).collect();
        TokenizedText { ids: all(&self.ids), more, truncated: self.truncated }
    }
}
