//! Learning curves: the training loss by step, and the dev metrics by epoch.

use indexmap::IndexMap;
use maud::{Markup, html};

use super::axis::Axis;
use super::draw::{at, colour, dashes, legend, path};
use crate::report::content::content::LINES;
use crate::report::content::training::{Line, Training, mean, stride};

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// The lines of one recipe in one panel.
struct Series<'a> {
    training: &'a Training,
    lines: Vec<(u64, Line)>,
}

/// The dev metrics that have a panel, by their title and their name.
const DEV: [(&str, &str); 3] =
    [("dev loss", "loss"), ("dev accuracy", "accuracy"), ("dev macro F1", "macro_f1")];

/// Returns the panels; a panel without values is left out.
pub fn curves(trainings: &[Training]) -> Markup {
    let shown = &trainings[..trainings.len().min(LINES)];
    let stride = stride(shown.iter().map(Training::steps).max().unwrap_or(0));
    // Losses of different methods have no common scale.
    let mut losses: IndexMap<&str, Vec<Series<'_>>> = IndexMap::new();
    for training in shown {
        let series = Series { training, lines: training.losses(stride) };
        losses.entry(&training.method).or_default().push(series);
    }
    let title = |method: &str| match losses.len() {
        1 => "loss".to_owned(),
        _ => format!("loss of {method}"),
    };
    let dev = DEV.map(|(name, metric)| {
        let series =
            shown.iter().map(|training| Series { training, lines: training.epochs(metric) });
        (name, series.collect::<Vec<_>>())
    });
    let has_values = |series: &[Series<'_>]| {
        series.iter().flat_map(|s| &s.lines).any(|(_, line)| !line.is_empty())
    };
    let several = shown.iter().any(|training| training.seeds.len() > 1);
    html! {
        @if !losses.values().any(|series| has_values(series)) {
            p.empty { "No learning curves were recorded." }
        }
        @else {
            (legend(shown.iter().map(|training| (training.slot, training.name.as_str()))))
            div.panels {
                @for (method, series) in &losses {
                    @if has_values(series) { (panel(&title(method), "step", series)) }
                }
                @for (name, series) in &dev {
                    @if has_values(series) { (panel(name, "epoch", series)) }
                }
            }
            p.caption {
                @if several {
                    "Thick: mean over seeds, up to the end of the shortest. Thin: single seeds. "
                }
                @if stride > 1 { "Each point of the loss is the mean of " (stride) " steps. " }
                @if trainings.len() > shown.len() {
                    "The first " (shown.len()) " of " (trainings.len()) " trainings. "
                }
            }
        }
    }
}

fn panel(name: &str, unit: &str, series: &[Series<'_>]) -> Markup {
    let points = || series.iter().flat_map(|series| &series.lines).flat_map(|(_, line)| line);
    // Steps and epochs are whole numbers.
    let across = Axis::whole(points().map(|(x, _)| *x), 6);
    let up = Axis::linear(points().filter_map(|(_, y)| *y), 5);
    let x = |place: f64| LEFT + place * (WIDTH - LEFT - RIGHT);
    let y = |place: f64| HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
    let screen = |line: &Line| -> Vec<Option<(f64, f64)>> {
        line.iter().map(|(a, b)| Some((x(across.place(*a)?), y(up.place((*b)?)?)))).collect()
    };
    let bottom = y(0.0);
    html! {
        figure.panel {
            figcaption { (name) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label=(format!("{name} by {unit}")) {
                @for (place, label) in up.ticks() {
                    line.grid x1=(at(LEFT)) x2=(at(WIDTH - RIGHT))
                        y1=(at(y(place))) y2=(at(y(place))) {}
                    text x=(at(LEFT - 6.0)) y=(at(y(place) + 4.0)) text-anchor="end" { (label) }
                }
                @for (place, label) in across.ticks() {
                    @let anchor = if place > 0.97 { "end" } else { "middle" };
                    line.axis x1=(at(x(place))) x2=(at(x(place)))
                        y1=(at(bottom)) y2=(at(bottom + 4.0)) {}
                    text x=(at(x(place))) y=(at(bottom + 17.0)) text-anchor=(anchor) { (label) }
                }
                text.quiet x=(at((LEFT + WIDTH - RIGHT) / 2.0)) y=(at(HEIGHT - 5.0))
                    text-anchor="middle" { (unit) }
                @for Series { training, lines } in series {
                    g class=(colour(training.slot)) {
                        @if lines.len() > 1 {
                            @for (seed, line) in lines {
                                path.seed d=(path(&screen(line))) {
                                    title { (training.name) ", seed " (seed) }
                                }
                            }
                        }
                        (thick(&training.name, training.slot, &screen(&mean(lines))))
                    }
                }
            }
        }
    }
}

/// A line of one point is invisible, so it is drawn as a dot.
fn thick(name: &str, slot: usize, points: &[Option<(f64, f64)>]) -> Markup {
    html! {
        @match points {
            [] => {}
            [Some((x, y))] => circle.dot cx=(at(*x)) cy=(at(*y)) r="4" { title { (name) } },
            points => path.mean d=(path(points)) stroke-dasharray=(dashes(slot)) {
                title { (name) }
            },
        }
    }
}
