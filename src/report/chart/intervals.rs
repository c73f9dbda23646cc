//! Means with their confidence intervals, one row per recipe; dots show the single seeds.

use maud::{Markup, html};

use super::axis::Axis;
use super::draw::{colour, percent};
use super::number;
use crate::results::compare::Recipe;

/// More rows make the plot unreadable.
const MOST: usize = 24;
const HEIGHT: f64 = 26.0;

/// Returns the plot of the recipes that have values. Places are shares of the width, so that texts
/// keep their size on any screen.
pub fn intervals(recipes: &[Recipe], metric: &str) -> Markup {
    let all: Vec<(usize, &Recipe)> =
        recipes.iter().enumerate().filter(|(_, recipe)| recipe.summary.is_some()).collect();
    let shown = &all[..all.len().min(MOST)];
    let values = shown.iter().flat_map(|(_, recipe)| {
        let ends = recipe.summary.and_then(|summary| summary.interval).map(|i| [i.low, i.high]);
        recipe.values.iter().copied().chain(ends.into_iter().flatten())
    });
    let axis = Axis::linear(values, 5);
    let repeated = shown.iter().any(|(_, recipe)| recipe.values.len() > 1);
    let baseline = shown.iter().find(|(_, recipe)| recipe.is_baseline);
    let baseline = baseline.and_then(|(_, recipe)| axis.place(recipe.summary?.mean));
    html! {
        @if shown.is_empty() { p.empty { "No recipe has a value of " (metric) "." } }
        @else {
            div.intervals role="list" {
                @for (slot, recipe) in shown { (row(*slot, recipe, &axis, baseline, metric)) }
                div.scale aria-hidden="true" {
                    svg width="100%" height="34" {
                        line.axis x1="0" x2="100%" y1="0.5" y2="0.5" {}
                        @for (place, label) in axis.ticks() {
                            line.axis x1=(percent(place)) x2=(percent(place)) y1="0" y2="5" {}
                            text x=(percent(place)) y="18" text-anchor=(anchor(place)) { (label) }
                        }
                        text.quiet x="50%" y="32" text-anchor="middle" { (metric) }
                    }
                }
            }
            p.caption {
                @if repeated {
                    "Bars: 95 % confidence interval of the mean over seeds (Student’s t, cut to "
                    "the range of the metric). "
                    "Ticks: the mean. Dots: single seeds."
                } @else {
                    "Dots: the value with the only seed."
                }
                @if baseline.is_some() { " Dashed: the mean of the baseline." }
                @if all.len() > shown.len() {
                    " The first " (shown.len()) " of " (all.len()) " recipes."
                }
            }
        }
    }
}

fn row(slot: usize, recipe: &Recipe, axis: &Axis, baseline: Option<f64>, metric: &str) -> Markup {
    let middle = HEIGHT / 2.0;
    let summary = recipe.summary;
    let interval = summary.and_then(|summary| summary.interval);
    let ends = interval.and_then(|i| Some((axis.place(i.low)?, axis.place(i.high)?)));
    let mean = summary.and_then(|summary| axis.place(summary.mean));
    let figure = match summary {
        Some(summary) => number::metric(summary.mean),
        None => String::new(),
    };
    let about = match interval {
        Some(interval) => {
            format!("{}: {metric} {figure}, 95 % {}", recipe.name, number::interval(interval))
        }
        None => format!("{}: {metric} {figure}", recipe.name),
    };
    html! {
        div.row role="listitem" {
            div.name title=(recipe.name) {
                span { (recipe.name) }
                @if recipe.is_baseline { small { "baseline" } }
            }
            svg class=(colour(slot)) width="100%" height=(HEIGHT) role="img" aria-label=(about) {
                title { (about) }
                line.rule x1="0" x2="100%" y1=(middle) y2=(middle) {}
                @if let Some(place) = baseline {
                    line.baseline x1=(percent(place)) x2=(percent(place)) y1="0" y2=(HEIGHT) {}
                }
                @if let Some((low, high)) = ends {
                    line.bar x1=(percent(low)) x2=(percent(high)) y1=(middle) y2=(middle) {}
                }
                @for (seed, value) in recipe.seeds.iter().zip(&recipe.values) {
                    @if let Some(place) = axis.place(*value) {
                        circle.dot cx=(percent(place)) cy=(middle) r="3.2" {
                            title { "seed " (seed) ": " (number::metric(*value)) }
                        }
                    }
                }
                @if let Some(place) = mean {
                    line.tick x1=(percent(place)) x2=(percent(place)) y1="4" y2=(HEIGHT - 4.0) {}
                }
            }
            div.figure { (figure) }
        }
    }
}

/// Labels at the ends of an axis stay inside the plot.
fn anchor(place: f64) -> &'static str {
    match place {
        place if place < 0.02 => "start",
        place if place > 0.98 => "end",
        _ => "middle",
    }
}
