//! The table of recipes.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::draw::{breakable, colour};
use super::chart::{critical_difference, number};
use super::said::verdict;
use crate::results::compare::{Comparison, Cost, Recipe, Verdict};
use crate::results::results::display_param;

/// The most parameters that are shown; the files have all.
const MOST_PARAMS: usize = 8;

/// A column with a part of what trainings take.
struct Column {
    name: &'static str,
    unit: &'static str,
    of: fn(&Cost) -> Option<f64>,
    shown: fn(f64) -> String,
}

const COSTS: [Column; 3] = [
    Column { name: "encodings", unit: "texts", of: |cost| cost.encodings, shown: whole },
    Column { name: "seconds", unit: "of training", of: |cost| cost.seconds, shown: seconds },
    Column {
        name: "memory",
        unit: "MB, the most",
        of: |cost| cost.memory.map(|bytes| bytes as f64 / 1e6),
        shown: whole,
    },
];

fn whole(value: f64) -> String {
    number::fixed(value, 0)
}

fn seconds(value: f64) -> String {
    number::fixed(value, if value < 10.0 { 2 } else { 0 })
}

/// Returns the table; with scripts enabled, its headers become buttons that sort it.
pub fn table(comparison: &Comparison) -> Markup {
    let recipes = &comparison.recipes;
    let metric = &comparison.metric;
    // Recipes other than trials have their parameters in their names.
    let params: Vec<&String> = match recipes.iter().any(|recipe| recipe.trial.is_some()) {
        true => comparison.changed_params.iter().take(MOST_PARAMS).collect(),
        false => Vec::new(),
    };
    let costs: Vec<&Column> = COSTS
        .iter()
        .filter(|cost| recipes.iter().any(|recipe| (cost.of)(&recipe.cost).is_some()))
        .collect();
    let several = recipes.iter().any(|recipe| recipe.values.len() > 1);
    let compared = recipes.iter().any(|recipe| recipe.against.is_some());
    let intervals = recipes
        .iter()
        .filter_map(|recipe| recipe.against.as_ref())
        .any(|against| against.interval.is_some());
    let ranked =
        comparison.ranks.as_ref().is_some_and(|ranks| ranks.recipes <= critical_difference::MOST);
    html! {
        div class=(if recipes.len() > 24 { "wide tall" } else { "wide" })
            tabindex="0" role="group" aria-label="Table of recipes" {
            table.results.sortable {
                thead {
                    tr {
                        th scope="col" data-sort="text" { "recipe" }
                        @for param in &params {
                            th.number scope="col" data-sort="number" title=(param) { (param) }
                        }
                        th.number scope="col" data-sort="number" { "seeds" }
                        th.number scope="col" data-sort="number" {
                            (metric) @if several { small { "mean ± sd, n−1" } }
                        }
                        @if several {
                            th.number scope="col" data-sort="number" {
                                "95 % interval" small { "of the mean" }
                            }
                        }
                        @for other in &comparison.other_metrics {
                            th.number scope="col" data-sort="number" {
                                (other) @if several { small { "mean ± sd, n−1" } }
                            }
                        }
                        @if compared {
                            th.number scope="col" data-sort="number" {
                                "difference" small { "from the baseline" }
                            }
                            @if intervals {
                                th.number scope="col" data-sort="number" {
                                    "95 % interval" small { "of the difference" }
                                }
                                th.number scope="col" data-sort="number" { "p" small { "Holm" } }
                            }
                        }
                        @for cost in &costs {
                            th.number scope="col" data-sort="number" {
                                (cost.name) small { (cost.unit) }
                            }
                        }
                        @if ranked {
                            th.number scope="col" data-sort="number" {
                                "rank" small { "mean over seeds" }
                            }
                        }
                        th scope="col" data-sort="text" { "verdict" }
                    }
                }
                tbody {
                    @for (slot, recipe) in recipes.iter().enumerate() {
                        tr class=[recipe.is_baseline.then_some("baseline")] {
                            th scope="row" {
                                div.recipe {
                                    span class=(format!("key {}", colour(slot)))
                                        aria-hidden="true" {}
                                    span {
                                        (breakable(&recipe.name))
                                        @if recipe.is_selected { " " span.tag { "selected" } }
                                    }
                                }
                            }
                            @for param in &params { (setting(recipe.params.get(*param))) }
                            td.number data-value=(recipe.values.len()) { (recipe.values.len()) }
                            (summary(recipe.summary))
                            @if several {
                                (interval(recipe.summary.and_then(|summary| summary.interval)))
                            }
                            @for other in &comparison.other_metrics {
                                (summary(recipe.others.get(other).copied()))
                            }
                            @if compared { (against(recipe, intervals)) }
                            @for cost in &costs { (optional((cost.of)(&recipe.cost), cost.shown)) }
                            @if ranked { (optional(recipe.rank, |rank| number::fixed(rank, 2))) }
                            td {
                                span class=(format!("verdict {}", tone(recipe))) {
                                    (verdict(recipe))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn against(recipe: &Recipe, intervals: bool) -> Markup {
    let against = recipe.against.as_ref();
    html! {
        (optional(against.map(|against| against.difference), number::difference))
        @if intervals {
            (interval(against.and_then(|against| against.interval)))
            (optional(against.and_then(|against| against.p_holm), number::probability))
        }
    }
}

fn setting(value: Option<&Value>) -> Markup {
    html! {
        @match value {
            Some(value) => td.number data-value=(display_param(value))
                title=(display_param(value)) {
                (number::setting(value))
            },
            None => td.number {},
        }
    }
}

fn summary(summary: Option<crate::statistics::Summary>) -> Markup {
    html! {
        @match summary {
            Some(summary) => td.number data-value=(summary.mean) {
                (number::metric(summary.mean))
                @if let Some(deviation) = summary.deviation {
                    span.deviation { " ± " (number::metric(deviation)) }
                }
            },
            None => td.number { "–" },
        }
    }
}

fn interval(interval: Option<crate::statistics::Interval>) -> Markup {
    html! {
        @match interval {
            Some(interval) => td.number data-value=(interval.low) { (number::interval(interval)) },
            None => td.number {},
        }
    }
}

fn optional(value: Option<f64>, write: fn(f64) -> String) -> Markup {
    html! {
        @match value {
            Some(value) => td.number data-value=(value) { (write(value)) },
            None => td.number {},
        }
    }
}

/// The visual weight of a verdict, which its words state as well.
fn tone(recipe: &Recipe) -> &'static str {
    match recipe.against.as_ref().map(|against| against.verdict) {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        None if !recipe.is_baseline => "failed",
        _ => "open",
    }
}
