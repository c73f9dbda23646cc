//! Per-class results of one evaluation.

use super::grid::Grid;
use super::people::layout;
use crate::results::row::ResultRow;

/// Returns precision, recall and F1 of every class of one row.
pub fn per_class(row: &ResultRow, precision: usize, width: Option<u16>) -> String {
    let rows = row
        .metrics
        .keys()
        .filter_map(|name| name.strip_prefix("f1/"))
        .map(|label| {
            let value = |metric: &str| match row.metrics.get(&format!("{metric}/{label}")) {
                Some(value) => format!("{value:.precision$}"),
                None => String::new(),
            };
            vec![label.to_owned(), value("precision"), value("recall"), value("f1")]
        })
        .collect();
    let headers = ["class", "precision", "recall", "f1"].map(str::to_owned).to_vec();
    layout(
        &Grid { headers, numeric: vec![false, true, true, true], spare: Vec::new(), rows },
        width,
    )
}

/// Returns a confusion matrix; rows are true classes, columns predicted ones.
pub fn confusion(labels: &[String], matrix: &[Vec<u64>], width: Option<u16>) -> String {
    let mut headers = vec!["true \\ predicted".to_owned()];
    headers.extend_from_slice(labels);
    let mut numeric = vec![true; headers.len()];
    numeric[0] = false;
    let rows = labels
        .iter()
        .zip(matrix)
        .map(|(label, counts)| {
            std::iter::once(label.clone()).chain(counts.iter().map(u64::to_string)).collect()
        })
        .collect();
    layout(&Grid { headers, numeric, spare: Vec::new(), rows }, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_class_stands_at_the_left() {
        let labels = ["no".to_owned(), "yes".to_owned()];
        insta::assert_snapshot!(confusion(&labels, &[vec![3, 1], vec![0, 2]], None), @r"
        ┌──────────────────┬────┬─────┐
        │ true \ predicted ┆ no ┆ yes │
        ╞══════════════════╪════╪═════╡
        │ no               ┆  3 ┆   1 │
        │ yes              ┆  0 ┆   2 │
        └──────────────────┴────┴─────┘
        ");
    }

    #[test]
    fn every_class_has_its_three_figures() {
        let row = ResultRow {
            metrics: [("precision/a/b", 0.5), ("recall/a/b", 1.0), ("f1/a/b", 2.0 / 3.0)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ..ResultRow::default()
        };
        assert!(per_class(&row, 2, None).contains("│ a/b   ┆      0.50 ┆   1.00 ┆ 0.67 │"));
    }
}
