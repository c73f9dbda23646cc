//! Confusion matrices: heat maps with their numbers.

use maud::{Markup, html};

use super::number;
use crate::report::content::tally::Tally;

/// A matrix of more classes is unreadable; the most frequent mistakes are listed instead.
const MOST_CLASSES: usize = 30;
const MOST_MISTAKES: usize = 40;

/// Returns the rules for the shares of cells, which their classes name in percent.
pub fn style() -> String {
    (0..=100).map(|share| format!(".share-{share}{{--share:{share}%}}\n")).collect()
}

/// Returns the matrix of a recipe.
pub fn confusion(tally: &Tally) -> Markup {
    html! {
        @if tally.labels.len() > MOST_CLASSES { (mistakes(tally)) } @else { (matrix(tally)) }
    }
}

fn matrix(tally: &Tally) -> Markup {
    html! {
        div.wide {
            table.confusion {
                caption { "Rows: true class. Columns: predicted class." }
                thead {
                    tr {
                        td {}
                        @for label in &tally.labels {
                            th scope="col" title=(label) { span { (label) } }
                        }
                    }
                }
                tbody {
                    @let rows = tally.labels.iter().zip(&tally.counts);
                    @for (index, (label, row)) in rows.enumerate() {
                        tr {
                            th scope="row" title=(label) { span { (label) } }
                            @for (other, count) in row.iter().enumerate() {
                                @let share = *count as f64 / tally.support(index).max(1) as f64;
                                @let kind = kind(index == other, share, *count);
                                td class=(format!("{kind} share-{:.0}", share * 100.0))
                                    title=(format!(
                                        "{label} taken for {}: {count}, {:.0} % of the class",
                                        tally.labels[other],
                                        share * 100.0,
                                    )) {
                                    (count)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The diagonal is outlined, so that it can be found without colours.
fn kind(is_right: bool, share: f64, count: u64) -> &'static str {
    match (is_right, share > 0.55, count) {
        (true, true, _) => "right strong",
        (true, false, _) => "right",
        (false, _, 0) => "zero",
        (false, true, _) => "strong",
        (false, false, _) => "",
    }
}

fn mistakes(tally: &Tally) -> Markup {
    let all = tally.mistakes();
    html! {
        div.wide {
            table.plain {
                caption {
                    (tally.labels.len()) " classes: the " (all.len().min(MOST_MISTAKES))
                    " most frequent of " (all.len()) " mistakes instead of a matrix."
                }
                thead {
                    tr {
                        th scope="col" { "true class" }
                        th scope="col" { "predicted" }
                        th.number scope="col" { "texts" }
                        th.number scope="col" { "of the class" }
                    }
                }
                tbody {
                    @for (label, other, count) in all.iter().take(MOST_MISTAKES) {
                        @let share = *count as f64 * 100.0 / tally.support(*label).max(1) as f64;
                        tr {
                            td { (tally.labels[*label]) }
                            td { (tally.labels[*other]) }
                            td.number { (count) }
                            td.number { (number::fixed(share, 0)) " %" }
                        }
                    }
                }
            }
        }
    }
}
