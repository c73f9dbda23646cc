//! Small plots of the metric against each parameter of a sweep.

use maud::{Markup, html};

use super::axis::Axis;
use super::draw::at;
use super::number;
use super::scale::Scale;
use crate::base::cut::cut;
use crate::report::content::trial::{Trial, Trials};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 34.0;
/// More dots would hide each other.
const MOST: usize = 600;

/// Returns a plot for each parameter.
pub fn scatter(trials: &Trials) -> Markup {
    let drawn = trials.drawn(MOST);
    let up = Axis::linear(drawn.iter().filter_map(|trial| trial.value), 5);
    let stopped = drawn.iter().any(|trial| trial.was_stopped);
    html! {
        @if drawn.is_empty() || trials.params.is_empty() {
            p.empty { "No trial has a value, or no parameter differs." }
        } @else {
            div.panels.small {
                @for param in &trials.params { (plot(param, &trials.metric, &drawn, &up)) }
            }
            p.caption {
                (trials.metric) " of every trial against each parameter. "
                "The ring marks the best trial."
                @if stopped { " Hollow: stopped early by the search." }
                @if trials.finished() > drawn.len() {
                    " " (trials.thinned(drawn.len()))
                }
            }
        }
    }
}

fn plot(param: &str, metric: &str, drawn: &[&Trial], up: &Axis) -> Markup {
    let values = drawn.iter().filter_map(|trial| trial.params.get(param));
    let across = Scale::of(values, 4);
    let x = |place: f64| LEFT + place * (WIDTH - LEFT - RIGHT);
    let y = |place: f64| HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
    let bottom = y(0.0);
    let best = Trials::best(drawn);
    let label_width = match &across {
        Scale::Names(names) => (36 / names.len().clamp(1, 12)).max(3),
        Scale::Numbers(_) => 12,
    };
    html! {
        figure.panel {
            figcaption { (param) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label=(format!("{metric} against {param}")) {
                @for (place, label) in up.ticks() {
                    line.grid x1=(at(LEFT)) x2=(at(WIDTH - RIGHT))
                        y1=(at(y(place))) y2=(at(y(place))) {}
                    text x=(at(LEFT - 6.0)) y=(at(y(place) + 4.0)) text-anchor="end" { (label) }
                }
                @for (place, label) in across.ticks() {
                    @let anchor = if place > 0.96 { "end" } else { "middle" };
                    line.axis x1=(at(x(place))) x2=(at(x(place)))
                        y1=(at(bottom)) y2=(at(bottom + 4.0)) {}
                    text x=(at(x(place))) y=(at(bottom + 17.0)) text-anchor=(anchor) {
                        (cut(&label, label_width)) title { (label) }
                    }
                }
                // The best come first and are drawn last, on top.
                @for (rank, trial) in drawn.iter().enumerate().rev() {
                    @if let (Some(setting), Some(value)) = (trial.params.get(param), trial.value) {
                        @if let (Some(a), Some(b)) = (across.place(setting), up.place(value)) {
                            circle class=(point(rank == best, trial.was_stopped))
                                cx=(at(x(a) + spread(&across, rank, best))) cy=(at(y(b)))
                                r=(if rank == best { "4.5" } else { "3" }) {
                                title {
                                    (trial.name) ": " (param) " " (number::setting(setting))
                                    ", " (metric) " " (number::metric(value))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the classes of a dot.
fn point(is_best: bool, was_stopped: bool) -> &'static str {
    match (is_best, was_stopped) {
        (true, _) => "point best",
        (false, true) => "point stopped",
        (false, false) => "point",
    }
}

/// Dots over one name are moved sideways a little, always in the same way, so that equal ones stay
/// visible.
fn spread(scale: &Scale, rank: usize, best: usize) -> f64 {
    match scale {
        Scale::Names(names) if rank != best => {
            let room = 0.5 * (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
            // Multiples of the golden ratio fill an interval evenly.
            ((rank as f64 * 0.618_033_988_75).fract() - 0.5) * room.min(24.0)
        }
        _ => 0.0,
    }
}
