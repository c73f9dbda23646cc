//! Result tables for people: the terminal and Markdown.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::grid::{Grid, grid};
use super::options::{FormatError, Options};
use crate::base::cut::visible_line;
use crate::results::results::ResultTable;

/// Returns the table for a terminal of `width` columns, or as wide as it needs to be. Rows that
/// differ only in the seed are grouped, with their mean and sample deviation below them.
pub fn terminal(
    table: &ResultTable,
    options: &Options,
    width: Option<u16>,
) -> Result<String, FormatError> {
    Ok(layout(&grid(table, options)?, width))
}

/// Returns the same table as Markdown, for a README or an issue.
pub fn markdown(table: &ResultTable, options: &Options) -> Result<String, FormatError> {
    Ok(markdown_of(&grid(table, options)?))
}

/// Writes a grid as Markdown.
pub(super) fn markdown_of(grid: &Grid) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<String> =
        grid.numeric.iter().map(|&n| if n { "--:" } else { ":--" }.to_owned()).collect();
    let mut text = line(&grid.headers);
    text.push_str(&line(&rule));
    grid.rows.iter().for_each(|cells| text.push_str(&line(cells)));
    text
}

/// Writes a cell of Markdown on one line.
fn escaped(cell: &str) -> String {
    visible_line(&cell.replace('|', "\\|").replace(['\n', '\r'], " ")).into_owned()
}

/// Lays out a grid with borders. If it is too wide, text is wrapped but numbers are not. Columns
/// that can be spared are dropped, and a last line names them.
pub(super) fn layout(grid: &Grid, width: Option<u16>) -> String {
    let grid = &grid.visible();
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let hidden = width.map(|width| columns_to_hide(grid, usize::from(width))).unwrap_or_default();
    let shown = |cells: &[String]| -> Vec<String> {
        cells
            .iter()
            .enumerate()
            .filter(|(index, _)| !hidden.contains(index))
            .map(|(_, cell)| cell.clone())
            .collect()
    };
    let roomy = width.is_none_or(|width| needed(grid, &hidden) <= usize::from(width));
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table.set_header(shown(&grid.headers));
    grid.rows.iter().for_each(|cells| {
        table.add_row(shown(cells));
    });
    let columns = (0..grid.headers.len()).filter(|index| !hidden.contains(index));
    // If all words fit, none is broken; otherwise numbers are broken last.
    for (place, index) in columns.enumerate().filter(|(_, index)| grid.numeric[*index] || roomy) {
        if let Some(column) = table.column_mut(place) {
            if grid.numeric[index] {
                column.set_cell_alignment(CellAlignment::Right);
            }
            // Including its padding.
            let least = u16::try_from(longest_word(grid, index, roomy) + 2).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
        }
    }
    let note = match hidden.is_empty() {
        true => String::new(),
        false => {
            let names: Vec<&str> =
                hidden.iter().map(|&index| grid.headers[index].as_str()).collect();
            wrapped("hidden:", &names.join(", "), width)
        }
    };
    format!("{table}\n{note}")
}

/// Writes a note after a sign, in lines of at most `width` columns; further lines are indented by
/// two.
pub(super) fn wrapped(sign: &str, note: &str, width: Option<u16>) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    let mut text = sign.to_owned();
    let mut used = sign.width();
    for word in visible_line(note).split(' ') {
        if used + 1 + word.width() > width {
            text.push_str("\n  ");
            used = 2;
        } else {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.width();
    }
    text.push('\n');
    text
}

/// Returns the columns to drop so that the grid fits the width.
fn columns_to_hide(grid: &Grid, width: usize) -> Vec<usize> {
    let mut hidden = Vec::new();
    let mut spare = grid.spare.iter().copied();
    while needed(grid, &hidden) > width
        && let Some(column) = spare.next()
    {
        hidden.push(column);
    }
    hidden
}

/// Returns the smallest width without a broken word: a column has a blank on each side and a border
/// after it, the first also one before it.
fn needed(grid: &Grid, hidden: &[usize]) -> usize {
    let columns = (0..grid.headers.len()).filter(|index| !hidden.contains(index));
    columns.map(|index| longest_word(grid, index, true) + 3).sum::<usize>() + 1
}

/// Returns the width of the longest word in a column, with its header or without.
fn longest_word(grid: &Grid, column: usize, with_header: bool) -> usize {
    let headers = if with_header { Some(&grid.headers) } else { None };
    let cells = headers.into_iter().chain(&grid.rows).filter_map(|cells| cells.get(column));
    cells.flat_map(|cell| cell.split_whitespace()).map(UnicodeWidthStr::width).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::format::machine::{csv, json};
    use crate::results::row::ResultRow;
    use indexmap::IndexMap;
    use serde_json::Value;

    fn row(rate: f64, seed: u64, accuracy: f64) -> ResultRow {
        ResultRow {
            run: "r1".into(),
            pipeline: "support".into(),
            stage: "score".into(),
            seed,
            split: "test".into(),
            n: 30,
            params: IndexMap::from([
                ("shots".to_owned(), Value::from(8)),
                ("learning_rate".to_owned(), Value::from(rate)),
            ]),
            metrics: IndexMap::from([
                ("accuracy".to_owned(), accuracy),
                ("macro_f1".to_owned(), accuracy / 2.0),
                ("nll".to_owned(), 1.0 - accuracy),
            ]),
            steps: 40,
            seconds: 1.26,
            backend: "session".into(),
            backend_reason: "asked for".into(),
            initial_weights: "`m`: 37 tensors loaded; head kept".into(),
            device: "cpu".into(),
            ..ResultRow::default()
        }
    }

    fn table() -> ResultTable {
        ResultTable {
            rows: vec![
                row(1e-5, 14, 0.5),
                row(1e-5, 13, 0.7),
                row(5e-5, 13, 0.8),
                row(5e-5, 14, 0.9),
            ],
        }
    }

    #[test]
    fn people_see_groups_with_mean_and_sample_deviation() -> Result<(), FormatError> {
        let options = Options { sort_by: Some("accuracy".into()), ..Options::default() };
        insta::assert_snapshot!(markdown(&table(), &options)?, @r"
        | stage | learning_rate | seed (mean ± sd, n−1) | split | n | accuracy | macro_f1 | steps | seconds |
        | :-- | --: | --: | :-- | --: | --: | --: | --: | --: |
        | score | 5e-5 | 13 | test | 30 | 0.8000 | 0.4000 | 40 | 1.3 |
        | score | 5e-5 | 14 | test | 30 | 0.9000 | 0.4500 | 40 | 1.3 |
        | score | 5e-5 | mean ± sd (2 seeds) | test | 30 | 0.8500 ± 0.0707 | 0.4250 ± 0.0354 | 40 | 1.3 |
        | score | 1e-5 | 13 | test | 30 | 0.7000 | 0.3500 | 40 | 1.3 |
        | score | 1e-5 | 14 | test | 30 | 0.5000 | 0.2500 | 40 | 1.3 |
        | score | 1e-5 | mean ± sd (2 seeds) | test | 30 | 0.6000 ± 0.1414 | 0.3000 ± 0.0707 | 40 | 1.3 |
        ");
        Ok(())
    }

    #[test]
    fn a_loss_is_sorted_with_the_least_first_and_top_counts_groups() -> Result<(), FormatError> {
        let options = Options {
            sort_by: Some("nll".into()),
            top: Some(1),
            metrics: vec!["nll".into()],
            precision: Some(2),
            ..Options::default()
        };
        let text = markdown(&table(), &options)?;
        assert!(text.contains("| 0.15 ± 0.07 |") && !text.contains("1e-5"), "{text}");
        Ok(())
    }

    #[test]
    fn a_single_row_has_no_summary_and_no_shared_parameter() -> Result<(), FormatError> {
        let one = ResultTable { rows: vec![row(1e-5, 13, 0.5)] };
        insta::assert_snapshot!(terminal(&one, &Options::default(), None)?, @r"
        ┌───────┬──────┬───────┬────┬──────────┬──────────┬───────┬─────────┐
        │ stage ┆ seed ┆ split ┆  n ┆ accuracy ┆ macro_f1 ┆ steps ┆ seconds │
        ╞═══════╪══════╪═══════╪════╪══════════╪══════════╪═══════╪═════════╡
        │ score ┆   13 ┆ test  ┆ 30 ┆   0.5000 ┆   0.2500 ┆    40 ┆     1.3 │
        └───────┴──────┴───────┴────┴──────────┴──────────┴───────┴─────────┘
        ");
        Ok(())
    }

    #[test]
    fn a_narrow_terminal_breaks_no_number() -> Result<(), FormatError> {
        for width in [80, 70, 60, 50] {
            let text = terminal(&table(), &Options::default(), Some(width))?;
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{text}");
            for number in ["5e-5", "0.8000", "0.1414", "0.3500"] {
                assert!(text.contains(number), "{width}, {number}:\n{text}");
            }
        }
        insta::assert_snapshot!(terminal(&table(), &Options::default(), Some(60))?, @r"
        ┌───────┬───────────────┬────────────┬──────────┬──────────┐
        │ stage ┆ learning_rate ┆ seed (mean ┆ accuracy ┆ macro_f1 │
        │       ┆               ┆ ± sd, n−1) ┆          ┆          │
        ╞═══════╪═══════════════╪════════════╪══════════╪══════════╡
        │ score ┆          1e-5 ┆         13 ┆   0.7000 ┆   0.3500 │
        │ score ┆          1e-5 ┆         14 ┆   0.5000 ┆   0.2500 │
        │ score ┆          1e-5 ┆  mean ± sd ┆ 0.6000 ± ┆ 0.3000 ± │
        │       ┆               ┆  (2 seeds) ┆   0.1414 ┆   0.0707 │
        │ score ┆          5e-5 ┆         13 ┆   0.8000 ┆   0.4000 │
        │ score ┆          5e-5 ┆         14 ┆   0.9000 ┆   0.4500 │
        │ score ┆          5e-5 ┆  mean ± sd ┆ 0.8500 ± ┆ 0.4250 ± │
        │       ┆               ┆  (2 seeds) ┆   0.0707 ┆   0.0354 │
        └───────┴───────────────┴────────────┴──────────┴──────────┘
        hidden: seconds, steps, n, split
        ");
        Ok(())
    }

    #[test]
    fn an_unknown_metric_or_column_is_named_with_its_neighbour() {
        let options = Options { metrics: vec!["macrof1".into()], ..Options::default() };
        let message = markdown(&table(), &options).map_err(|error| format!("{error:?}"));
        assert!(
            matches!(&message, Err(text) if text.contains("did you mean `macro_f1`?")),
            "{message:?}"
        );
        let options = Options { sort_by: Some("zzz".into()), ..Options::default() };
        assert!(terminal(&table(), &options, None).is_err() && json(&table(), &options).is_err());
    }

    #[test]
    fn markdown_escapes_what_would_break_its_cells() -> Result<(), FormatError> {
        let mut broken = table();
        broken.rows[0].stage = "a|b".into();
        assert!(markdown(&broken, &Options::default())?.contains("a\\|b"));
        Ok(())
    }

    #[test]
    fn programs_get_plain_rows_with_full_precision() -> Result<(), FormatError> {
        let options =
            Options { sort_by: Some("accuracy".into()), top: Some(2), ..Options::default() };
        let rows: Vec<Value> = serde_json::from_str(&json(&table(), &options)?).unwrap_or_default();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["metrics"]["accuracy"], Value::from(0.9));
        assert_eq!(rows[0]["params"]["learning_rate"], Value::from(5e-5));
        assert_eq!(rows[0]["trial"], Value::Null);
        let csv = csv(&table(), &Options { metrics: vec!["nll".into()], ..options })?;
        assert_eq!(csv.lines().count(), 3);
        assert!(csv.starts_with(
            "run,pipeline,stage,trial,seed,split,n,param.shots,param.learning_rate,nll,steps"
        ));
        Ok(())
    }
}
