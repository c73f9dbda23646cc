//! The conclusions of a report, in sentences.

use maud::{Markup, html};

use super::chart::number;
use crate::results::compare::{Against, Comparison, Recipe, Verdict};

/// Returns the sentences at the head of a report: the best trial of a search, then the recipes
/// compared with the baseline.
pub fn said(comparison: &Comparison) -> Markup {
    let metric = &comparison.metric;
    let others: Vec<(&Recipe, &Against)> = comparison
        .recipes
        .iter()
        .filter_map(|recipe| Some((recipe, recipe.against.as_ref()?)))
        .collect();
    html! {
        @if let Some(selected) = &comparison.selected {
            p.lead {
                b { (selected.name) } " is the best of " (selected.trials) " trials, with "
                (metric) " " (number::metric(selected.value))
                @match (selected.corrected, selected.bias) {
                    (Some(corrected), Some(bias)) => {
                        "; " (number::metric(bias)) " of that is optimism from selecting the best, \
                                                     so expect "
                        b { (number::metric(corrected)) } "."
                    }
                    _ => "; this value is optimistic, since the trial was selected by it.",
                }
            }
        }
        @match (&others[..], &comparison.baseline) {
            (_, None) => p.lead { "No recipe has finished, so there is nothing to compare." },
            ([], Some(name)) => (alone(comparison, name)),
            ([(recipe, against)], Some(name)) => p.lead { (single(recipe, against, name, metric)) },
            (_, Some(name)) => (many(&others, name, comparison)),
        }
    }
}

/// Returns a verdict in words.
pub fn verdict(recipe: &Recipe) -> String {
    crate::results::format::compared::verdict(recipe)
}

fn alone(comparison: &Comparison, name: &str) -> Markup {
    let summary = comparison.recipes.iter().find_map(|recipe| recipe.summary);
    html! {
        @if comparison.selected.is_none() {
            p.lead {
                b { (name) }
                @if let Some(summary) = summary {
                    " has " (comparison.metric) " " (number::metric(summary.mean))
                    @if let Some(interval) = summary.interval {
                        " (95 % interval " (number::interval(interval)) ")"
                    }
                    " over " (number::count(summary.count, "seed", "seeds"))
                }
                ". There is no other recipe to compare it with."
            }
        }
    }
}

fn single(recipe: &Recipe, against: &Against, baseline: &str, metric: &str) -> Markup {
    let name = html! { b { (recipe.name) } };
    let base = html! { b { (baseline) } };
    html! {
        @match against.verdict {
            Verdict::Better => {
                (name) " is better than " (base) ": " (measured(against, metric)) "."
            }
            Verdict::Worse => {
                (name) " is worse than " (base) ": " (measured(against, metric)) "."
            }
            Verdict::NoDifference => {
                "No difference is shown between " (name) " and " (base) ": "
                (measured(against, metric)) "."
            }
            Verdict::TooFewTexts => {
                "The seeds agree that " (name) " differs from " (base)
                ", but there are not enough test texts to tell: "
                (measured(against, metric)) "."
            }
            Verdict::TooFewSeeds { more } => {
                "There are not enough seeds to tell whether " (name) " differs from " (base) ": "
                (measured(against, metric)) "."
                @if let Some(more) = more {
                    " " (more) " more would show a difference of one point."
                }
            }
        }
    }
}

fn measured(against: &Against, metric: &str) -> Markup {
    html! {
        span.nowrap { (number::difference(against.difference)) } " " (metric)
        @if let Some(interval) = against.interval {
            " (95 % interval " span.nowrap { (number::interval(interval)) }
            @if let Some(p) = against.p_holm { ", " span.nowrap { "p " (number::probability(p)) } }
            ")"
        }
    }
}

fn many(others: &[(&Recipe, &Against)], baseline: &str, comparison: &Comparison) -> Markup {
    let of = |test: fn(Verdict) -> bool| -> Vec<(&Recipe, &Against)> {
        others.iter().copied().filter(|(_, against)| test(against.verdict)).collect()
    };
    let better = of(|verdict| verdict == Verdict::Better);
    let sign = if comparison.less_is_better { -1.0 } else { 1.0 };
    let best = better
        .iter()
        .max_by(|a, b| (sign * a.1.difference).total_cmp(&(sign * b.1.difference)))
        .copied();
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    let worse = of(|verdict| verdict == Verdict::Worse).len();
    let same = of(|verdict| verdict == Verdict::NoDifference).len();
    let texts = of(|verdict| verdict == Verdict::TooFewTexts).len();
    let seeds = of(|verdict| matches!(verdict, Verdict::TooFewSeeds { .. })).len();
    let count = others.len();
    let shown = if comparison.compared > comparison.recipes.len() { " shown here" } else { "" };
    let all = match count {
        _ if worse == count => Some(format!("All {count}{shown} are worse.")),
        _ if same == count => Some(format!("None of the {count}{shown} is shown to differ.")),
        _ if texts == count => {
            Some(format!("For all {count}{shown} there are not enough test texts to tell."))
        }
        _ if seeds == count => {
            Some(format!("For all {count}{shown} there are not enough seeds to tell."))
        }
        _ => None,
    };
    let rest: Vec<String> = [
        (worse, format!("{worse} {} worse", are(worse))),
        (same, format!("{same} {} not shown to differ", are(same))),
        (texts, format!("for {texts} there are not enough test texts to tell")),
        (seeds, format!("for {seeds} there are not enough seeds to tell")),
    ]
    .into_iter()
    .filter_map(|(count, text)| (count > 0).then_some(text))
    .collect();
    let base = html! { b { (baseline) } };
    html! {
        p.lead {
            @match (best, better.len()) {
                (None, _) => { "No recipe is shown to be better than " (base) "." }
                (Some((recipe, against)), 1) => {
                    (single(recipe, against, baseline, &comparison.metric))
                }
                (Some((recipe, against)), count) => {
                    (count) " of " (others.len()) " recipes are better than " (base)
                    ", above all " b { (recipe.name) } ": "
                    (measured(against, &comparison.metric)) "."
                }
            }
            @match (&better[..], all) {
                ([], Some(all)) => { " " (all) },
                _ if rest.is_empty() => {},
                _ => {
                    " Of the " (if better.is_empty() { "" } else { "other " })
                    (others.len() - better.len()) (shown) ", " (list(&rest)) "."
                }
            }
        }
    }
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
