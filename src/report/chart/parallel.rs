//! Parallel coordinates: every trial of a sweep as a line through its parameters to the metric.

use maud::{Markup, html};
use serde_json::Value;

use super::draw::{at, path};
use super::number;
use super::scale::Scale;
use crate::base::cut::cut;
use crate::report::content::trial::{Trial, Trials};

/// More lines merge into a grey mass.
const MOST: usize = 300;
/// The number of colours for the metric.
const SHADES: usize = 5;
const HEIGHT: f64 = 320.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 16.0;
const SIDE: f64 = 70.0;
const LEAST_GAP: f64 = 132.0;
/// The width that few axes fill.
const USUAL_WIDTH: f64 = 1000.0;

/// An axis of the plot, and the parameter whose values it shows.
struct Column<'a> {
    name: &'a str,
    /// The parameter; `None` for the metric.
    param: Option<&'a str>,
    scale: Scale,
}

impl Column<'_> {
    fn value(&self, trial: &Trial) -> Option<Value> {
        match self.param {
            Some(param) => trial.params.get(param).cloned(),
            None => trial.value.map(Value::from),
        }
    }
}

/// Returns the rule for the plot's least width; a narrow window scrolls.
pub fn style(trials: &Trials) -> String {
    let (_, width) = widths(trials);
    format!("svg.parallel{{min-width:{}px}}\n", at(width * 0.85))
}

/// Returns the width between two axes, and of all.
fn widths(trials: &Trials) -> (f64, f64) {
    // The metric has an axis beside those of the parameters.
    let gaps = trials.params.len().max(1) as f64;
    let gap = ((USUAL_WIDTH - 2.0 * SIDE) / gaps).max(LEAST_GAP);
    (gap, 2.0 * SIDE + gap * gaps)
}

/// Returns the plot. Lines are coloured by the metric: better ones are stronger and thicker. Each
/// can be selected with the pointer or the arrow keys.
pub fn parallel(trials: &Trials) -> Markup {
    let drawn = trials.drawn(MOST);
    let columns: Vec<Column<'_>> = trials
        .params
        .iter()
        .map(|param| Column {
            name: param,
            param: Some(param),
            scale: Scale::of(drawn.iter().filter_map(|trial| trial.params.get(param)), 6),
        })
        .chain(std::iter::once(Column {
            name: &trials.metric,
            param: None,
            scale: Scale::Numbers(super::axis::Axis::linear(
                drawn.iter().filter_map(|trial| trial.value),
                6,
            )),
        }))
        .collect();
    let (gap, width) = widths(trials);
    let x = |index: usize| SIDE + gap * index as f64;
    let y = |place: f64| HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
    let points = |trial: &Trial| -> Vec<Option<(f64, f64)>> {
        let place = |(index, column): (usize, &Column<'_>)| {
            Some((x(index), y(column.scale.place(&column.value(trial)?)?)))
        };
        columns.iter().enumerate().map(place).collect()
    };
    let shade = |rank: usize| SHADES - 1 - (rank * SHADES / drawn.len().max(1)).min(SHADES - 1);
    html! {
        @if drawn.is_empty() { p.empty { "No trial has a value of " (trials.metric) "." } }
        @else {
            div.wide tabindex="0" role="group" aria-label="Parallel coordinates of the trials" {
                svg.parallel viewBox=(format!("0 0 {width} {HEIGHT}")) {
                    // The best come first and are drawn last, on top.
                    @for (rank, trial) in drawn.iter().enumerate().rev() {
                        @let line = path(&points(trial));
                        @let stopped = if trial.was_stopped { " stopped" } else { "" };
                        g class=(format!("line m{}{}", shade(rank), stopped))
                            tabindex=(if rank == 0 { "0" } else { "-1" })
                            role="img" aria-label=(about(trial, trials)) {
                            title { (about(trial, trials)) }
                            path.hit d=(line) {}
                            path.seen d=(line) {}
                        }
                    }
                    @for (index, column) in columns.iter().enumerate() {
                        g.column {
                            line.axis x1=(at(x(index))) x2=(at(x(index)))
                                y1=(at(y(0.0))) y2=(at(y(1.0))) {}
                            text.head x=(at(x(index))) y="16" text-anchor="middle" {
                                (cut(column.name, 20)) title { (column.name) }
                            }
                            @for (place, label) in column.scale.ticks() {
                                @let signs = label.chars().count().min(14) as f64;
                                line.axis x1=(at(x(index) - 3.0)) x2=(at(x(index) + 3.0))
                                    y1=(at(y(place))) y2=(at(y(place))) {}
                                rect.plate x=(at(x(index) + 5.0)) y=(at(y(place) - 8.0)) rx="2"
                                    width=(at(4.0 + 7.2 * signs)) height="16" {}
                                text x=(at(x(index) + 7.0)) y=(at(y(place) + 4.0)) {
                                    (cut(&label, 14)) title { (label) }
                                }
                            }
                        }
                    }
                }
            }
            p.readout aria-live="polite" { "Best: " (about(drawn[Trials::best(&drawn)], trials)) }
            p.caption {
                "One line per trial; stronger and thicker lines rank better by "
                (trials.metric) "."
                @if trials.finished() > drawn.len() {
                    " " (trials.thinned(drawn.len()))
                }
                span.scripted { " Point at a line, or step through them with the arrow keys." }
            }
        }
    }
}

/// Returns a trial in words.
fn about(trial: &Trial, trials: &Trials) -> String {
    let mut text = trial.name.clone();
    if let Some(value) = trial.value {
        text += &format!(": {} {}", trials.metric, number::metric(value));
    }
    for param in &trials.params {
        if let Some(value) = trial.params.get(param) {
            text += &format!(", {param} {}", number::setting(value));
        }
    }
    if trial.was_stopped {
        text += ", stopped early";
    }
    text
}
