//! Texts that are longer than the input: windows that overlap, and what becomes of their results.
//!
//! Dimensions: `N` texts, `W` windows of all of them, `M` windows of the text that has most, `K`
//! numbers of a result.

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tokenized::TokenizedText;

/// How a text that is longer than `max_length` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// The tokens that a window has in common with the one before it, as `stride` in
    /// `transformers`.
    #[serde(default = "default_stride")]
    pub stride: usize,
    /// What the results of a text's windows become.
    #[serde(default)]
    pub combine: Combine,
}

/// What the results of a text's windows (logits, or the numbers of an embedding) become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their mean.
    #[default]
    Mean,
    /// The largest of each.
    Max,
}

fn default_stride() -> usize {
    64
}

impl Default for Windows {
    fn default() -> Windows {
        Windows { stride: default_stride(), combine: Combine::default() }
    }
}

/// Where the windows of texts are among the rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowRows {
    /// N and M.
    pub shape: [usize; 2],
    /// `[N, M]`, the row of each window; 0 where a text has none.
    pub rows: Vec<i64>,
    /// `[N, M]`, 1 for a window.
    pub mask: Vec<i64>,
}

impl WindowRows {
    /// Counts the windows of texts, which stand one after another.
    pub fn of(texts: &[&TokenizedText]) -> WindowRows {
        let most = texts.iter().map(|text| text.windows()).max().unwrap_or(0);
        let (mut rows, mut mask) = (Vec::new(), Vec::new());
        let mut next = 0;
        for text in texts {
            for place in 0..most {
                let is_window = place < text.windows();
                rows.push(if is_window { next } else { 0 });
                mask.push(i64::from(is_window));
                next += i64::from(is_window);
            }
        }
        WindowRows { shape: [texts.len(), most], rows, mask }
    }
}

impl Combine {
    /// Returns the results `[N, K]` of texts from those of their windows `[W, K]`, which stand one
    /// after another.
    pub fn results(self, windows: &Array2<f32>, texts: &[TokenizedText]) -> Array2<f32> {
        let mut results = Array2::zeros((texts.len(), windows.ncols()));
        let mut next = 0;
        for (text, mut result) in texts.iter().zip(results.rows_mut()) {
            let own = windows.rows().into_iter().skip(next).take(text.windows());
            next += text.windows();
            for (place, row) in own.enumerate() {
                result.zip_mut_with(&row, |result: &mut f32, &value: &f32| {
                    *result = match self {
                        _ if place == 0 => value,
                        Combine::Mean => *result + value,
                        Combine::Max => result.max(value),
                    };
                });
            }
            if self == Combine::Mean && text.windows() > 1 {
                result /= text.windows() as f32;
            }
        }
        results
    }
}

/// Returns texts, each of whose windows stands as a text of its own.
pub fn apart(texts: &[TokenizedText]) -> Vec<TokenizedText> {
    let one = |ids: &Vec<u32>| TokenizedText { ids: ids.clone(), ..TokenizedText::default() };
    texts.iter().flat_map(|text| text.all_ids().map(one)).collect()
}

/// Says how many texts need more than one window, and how many windows there are.
pub fn told(texts: &[TokenizedText], longest: usize) -> Option<String> {
    let long = texts.iter().filter(|text| text.windows() > 1).count();
    let windows: usize = texts.iter().map(TokenizedText::windows).sum();
    (long > 0).then(|| {
        format!(
            "{long} of {} texts have more than {longest} tokens ({:.1} %) and are read in windows; \
             there are {windows} windows in all",
            texts.len(),
            100.0 * long as f64 / texts.len() as f64
        )
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn text(windows: usize) -> TokenizedText {
        TokenizedText { ids: vec![1], more: vec![vec![2]; windows - 1], truncated: false }
    }

    #[test]
    fn results_of_windows_become_those_of_texts() {
        let texts = [text(1), text(3), text(2)];
        let windows =
            array![[1.0f32, 2.0], [3.0, 0.0], [5.0, -1.0], [1.0, 4.0], [0.5, 0.5], [1.5, -0.5]];
        let mean = array![[1.0f32, 2.0], [3.0, 1.0], [1.0, 0.0]];
        assert_eq!(Combine::Mean.results(&windows, &texts), mean);
        let max = array![[1.0f32, 2.0], [5.0, 4.0], [1.5, 0.5]];
        assert_eq!(Combine::Max.results(&windows, &texts), max);
        let rows = WindowRows::of(&texts.iter().collect::<Vec<_>>());
        assert_eq!(rows.shape, [3, 3]);
        assert_eq!(rows.rows, [0, 0, 0, 1, 2, 3, 4, 5, 0]);
        assert_eq!(rows.mask, [1, 0, 0, 1, 1, 1, 1, 1, 0]);
        assert_eq!(apart(&texts).len(), 6);
        assert_eq!(told(&texts[..1], 8), None);
        let told = told(&texts, 8).unwrap_or_default();
        assert!(told.starts_with("2 of 3 texts have more than 8 tokens (66.7 %)"), "{told}");
    }
}
