//! Helpers of all charts: coordinates, paths, and the colours and dashes of recipes.

use crate::report::content::content::LINES;
use maud::{Markup, html};

/// Dashes in addition to colours, so that lines differ without colours too.
const DASHES: [&str; LINES] = ["none", "7 3", "2 2.5", "9 3 2 3", "5 2", "1 3", "12 4"];

/// Returns the class of a recipe's colour; those beyond [`LINES`] share a neutral one.
pub fn colour(slot: usize) -> String {
    if slot < LINES { format!("c{slot}") } else { "other".to_owned() }
}

/// Returns a recipe's dashes.
pub fn dashes(slot: usize) -> &'static str {
    DASHES.get(slot).copied().unwrap_or("none")
}

/// Writes a coordinate with one decimal, which is finer than a screen.
pub fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Writes a place from 0 to 1 as a share of the width.
pub fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}

/// Returns the path through points; a gap starts a new segment.
pub fn path(points: &[Option<(f64, f64)>]) -> String {
    let mut text = String::new();
    let mut pen_is_up = true;
    for point in points {
        match point {
            Some((x, y)) => {
                text += &format!("{}{} {}", if pen_is_up { 'M' } else { 'L' }, at(*x), at(*y));
                pen_is_up = false;
            }
            None => pen_is_up = true,
        }
    }
    text
}

/// Returns a name with break opportunities after `_`, `/`, `=`, `.` and `,`, where browsers do not
/// break by themselves.
pub fn breakable(name: &str) -> Markup {
    html! {
        @for part in name.split_inclusive(['_', '/', '=', '.', ',']) { (part) wbr; }
    }
}

/// Returns the legend: a sample of each line with its name.
pub fn legend<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> Markup {
    html! {
        ul.legend {
            @for (slot, name) in names {
                li {
                    svg class=(colour(slot)) viewBox="0 0 28 10" width="28" height="10"
                        aria-hidden="true" {
                        line.mean x1="0" x2="28" y1="5" y2="5" stroke-dasharray=(dashes(slot)) {}
                    }
                    span { (name) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lifts_the_pen() {
        let points = [Some((0.0, 1.0)), Some((1.25, 2.0)), None, Some((3.0, 4.04))];
        assert_eq!(path(&points), "M0 1L1.2 2M3 4");
        assert_eq!(path(&[]), "");
    }
}
