//! The critical-difference diagram of Demšar (2006, Journal of Machine Learning Research 7, §
//! 3.2.5).

use maud::{Markup, html};

use super::draw::at;
use super::number;
use crate::base::cut::cut;

const WIDTH: f64 = 780.0;
const LEFT: f64 = 240.0;
const RIGHT: f64 = 545.0;
const AXIS: f64 = 58.0;
const LANE: f64 = 9.0;
const ROW: f64 = 22.0;
/// More names do not fit, and the ranks of more recipes mean little.
pub const MOST: usize = 24;

/// Returns the diagram of recipes with their mean ranks over the seeds; rank 1 is the best.
pub fn critical_difference(
    ranked: &[(&str, f64)],
    recipes: usize,
    seeds: usize,
    critical: f64,
) -> Markup {
    let mut ranked: Vec<(&str, f64)> =
        ranked.iter().copied().filter(|(_, rank)| rank.is_finite()).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let all = ranked.len();
    ranked.truncate(MOST);
    let Some(worst) = ranked.last().map(|(_, rank)| rank.ceil().max(2.0)) else {
        return html! { p.empty { "No recipe has a rank." } };
    };
    let x = |rank: f64| LEFT + (rank - 1.0) / (worst - 1.0) * (RIGHT - LEFT);
    let ranks: Vec<f64> = ranked.iter().map(|(_, rank)| *rank).collect();
    let bars = cliques(&ranks, critical);
    let first_row = AXIS + 20.0 + LANE * bars.len() as f64;
    let half = ranked.len().div_ceil(2);
    let height = first_row + ROW * half as f64;
    let stride = ((worst - 1.0) / 10.0).ceil().max(1.0);
    let ticks =
        (0..).map(|index| 1.0 + f64::from(index) * stride).take_while(|tick| *tick <= worst);
    let critical_end = (x(1.0 + critical)).min(WIDTH - 8.0);
    html! {
        div.wide {
            svg.ranks viewBox=(format!("0 0 {WIDTH} {}", at(height))) role="img"
                aria-label=(format!(
                    "Mean ranks of {recipes} recipes; critical difference {critical:.2}",
                )) {
                line.critical x1=(at(x(1.0))) x2=(at(critical_end)) y1="22" y2="22" {}
                line.critical x1=(at(x(1.0))) x2=(at(x(1.0))) y1="18" y2="26" {}
                line.critical x1=(at(critical_end)) x2=(at(critical_end)) y1="18" y2="26" {}
                text x=(at(x(1.0))) y="12" { "critical difference " (number::fixed(critical, 2)) }
                line.axis x1=(at(LEFT)) x2=(at(RIGHT)) y1=(at(AXIS)) y2=(at(AXIS)) {}
                @for tick in ticks {
                    line.axis x1=(at(x(tick))) x2=(at(x(tick))) y1=(at(AXIS - 5.0)) y2=(at(AXIS)) {}
                    text x=(at(x(tick))) y=(at(AXIS - 9.0)) text-anchor="middle" { (tick) }
                }
                @for (index, (name, rank)) in ranked.iter().enumerate() {
                    @let is_left = index < half;
                    @let row = if is_left { index } else { ranked.len() - 1 - index };
                    @let y = first_row + ROW * row as f64;
                    @let end = if is_left { LEFT - 14.0 } else { RIGHT + 14.0 };
                    @let stem = format!("M{0} {1}V{2}H{3}", at(x(*rank)), at(AXIS), at(y), at(end));
                    @let name_x = if is_left { end - 5.0 } else { end + 5.0 };
                    @let anchor = if is_left { "end" } else { "start" };
                    g.ranked {
                        title { (name) ": mean rank " (number::fixed(*rank, 2)) }
                        path.stem d=(stem) {}
                        text x=(at(name_x)) y=(at(y + 4.0)) text-anchor=(anchor) {
                            @if is_left {
                                (cut(name, 24)) " " tspan.quiet { (number::fixed(*rank, 2)) }
                            } @else {
                                tspan.quiet { (number::fixed(*rank, 2)) } " " (cut(name, 24))
                            }
                        }
                    }
                }
                @for (lane, (from, to)) in bars.iter().enumerate() {
                    @let y = AXIS + 10.0 + LANE * lane as f64;
                    line.clique x1=(at(x(ranks[*from]) - 4.0)) x2=(at(x(ranks[*to]) + 4.0))
                        y1=(at(y)) y2=(at(y)) {
                        title { "not shown to differ: " (ranked[*from].0) " to " (ranked[*to].0) }
                    }
                }
            }
        }
        p.caption {
            "Mean ranks of " (recipes) " recipes over " (seeds) " seeds; rank 1 is the best. "
            "Bars join recipes whose ranks differ by less than the critical difference: "
            "these seeds do not show that they differ (Nemenyi, 0.05; Demšar 2006)."
            @if all < recipes { " The table has the ranks of " (all) " of them." }
            @if all > ranked.len() { " The first " (ranked.len()) " are drawn." }
        }
    }
}

/// Returns the widest groups of neighbours that lie less than `critical` apart, each as the first
/// and last index into the sorted ranks.
fn cliques(ranks: &[f64], critical: f64) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for from in 0..ranks.len() {
        let to = (from..ranks.len())
            .take_while(|&to| ranks[to] - ranks[from] < critical)
            .last()
            .unwrap_or(from);
        let is_inside = groups.last().is_some_and(|(_, end)| *end >= to);
        if to > from && !is_inside {
            groups.push((from, to));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_join_what_is_not_shown_different() {
        assert_eq!(cliques(&[1.0, 1.5, 2.5, 3.4], 1.2), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(cliques(&[1.0, 1.5, 2.0, 9.0], 1.2), [(0, 2)]);
        assert_eq!(cliques(&[1.0, 3.0], 1.0), []);
        assert_eq!(cliques(&[], 1.0), []);
    }
}
