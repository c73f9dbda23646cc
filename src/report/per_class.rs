//! Precision, recall and F1 by class, for one recipe and for several side by side.

use maud::{Markup, html};

use super::chart::number::fixed;
use super::content::tally::Tally;

const DECIMALS: usize = 3;

/// Returns the metrics of every class of one recipe.
pub fn per_class(tally: &Tally) -> Markup {
    html! {
        div class=(frame(tally.labels.len())) {
            table.plain.sortable {
                caption {
                    "From the summed counts of " (tally.seeds)
                    (if tally.seeds == 1 { " seed." } else { " seeds." })
                }
                thead {
                    tr {
                        th scope="col" data-sort="text" { "class" }
                        @for name in ["precision", "recall", "F1", "texts"] {
                            th.number scope="col" data-sort="number" { (name) }
                        }
                    }
                }
                tbody {
                    @for (index, label) in tally.labels.iter().enumerate() {
                        @let class = tally.class(index);
                        tr {
                            th scope="row" { (label) }
                            @for figure in [class.precision, class.recall, class.f1] {
                                (cell(figure, false))
                            }
                            td.number data-value=(class.texts) { (fixed(class.texts, 0)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns F1 by class with the recipes side by side; the best of each class is bold.
pub fn overview(tallies: &[Tally]) -> Markup {
    let Some(first) = tallies.first() else { return html! {} };
    let same: Vec<&Tally> = tallies.iter().filter(|tally| tally.labels == first.labels).collect();
    html! {
        div class=(frame(first.labels.len())) {
            table.plain.sortable {
                caption { "F1 by class; the best of each class is bold." }
                thead {
                    tr {
                        th scope="col" data-sort="text" { "class" }
                        @for tally in &same {
                            th.number scope="col" data-sort="number" title=(tally.name) {
                                span.cut { (tally.name) }
                            }
                        }
                    }
                }
                tbody {
                    @for (index, label) in first.labels.iter().enumerate() {
                        @let figures: Vec<Option<f64>> =
                            same.iter().map(|tally| tally.class(index).f1).collect();
                        @let best =
                            figures.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
                        tr {
                            th scope="row" { (label) }
                            @for figure in &figures {
                                (cell(*figure, *figure == Some(best) && same.len() > 1))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A long table scrolls in a box of its own.
fn frame(rows: usize) -> &'static str {
    if rows > 24 { "wide tall" } else { "wide" }
}

fn cell(figure: Option<f64>, is_best: bool) -> Markup {
    html! {
        @match figure {
            Some(value) => td.number data-value=(value) {
                @if is_best { b { (fixed(value, DECIMALS)) } } @else { (fixed(value, DECIMALS)) }
            },
            None => td.number { "–" },
        }
    }
}
