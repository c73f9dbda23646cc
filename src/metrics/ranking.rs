//! Rows ranked by each class's probability.

use super::row::Row;

/// Rows sorted by their score for every class, once for any number of weights.
#[derive(Clone, Debug)]
pub struct Ranking(Vec<Vec<Ranked>>);

#[derive(Clone, Copy, Debug)]
struct Ranked {
    row: usize,
    score: f32,
    positive: bool,
}

impl Ranking {
    /// Sorts the rows.
    pub fn of(classes: usize, rows: &[Row<'_>]) -> Ranking {
        let ranked = |class: usize| {
            let of = |(row, r): (usize, &Row<'_>)| Ranked {
                row,
                score: r.probabilities[class],
                positive: r.label == class,
            };
            let mut ranked: Vec<Ranked> = rows.iter().enumerate().map(of).collect();
            ranked.sort_by(|a, b| a.score.total_cmp(&b.score));
            ranked
        };
        Ranking((0..classes).map(ranked).collect())
    }

    /// Returns the mean area with each row counted `weight` times.
    pub fn area(&self, weight: impl Fn(usize) -> u64) -> Option<f64> {
        let areas: Option<Vec<f64>> = self.0.iter().map(|ranked| area(ranked, &weight)).collect();
        areas
            .filter(|areas| !areas.is_empty())
            .map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
    }
}

/// The probability that a row of the class scores higher than a row of the rest; ties count half
/// (Mann & Whitney's U).
fn area(ranked: &[Ranked], weight: &impl Fn(usize) -> u64) -> Option<f64> {
    // Twice the number of won pairs, which is a whole number even with ties.
    let (mut won, mut below, mut positives) = (0_u64, 0_u64, 0_u64);
    for tied in ranked.chunk_by(|a, b| a.score == b.score) {
        let (mut ahead, mut behind) = (0, 0);
        for row in tied {
            if row.positive { ahead += weight(row.row) } else { behind += weight(row.row) }
        }
        won += ahead * (2 * below + behind);
        below += behind;
        positives += ahead;
    }
    let pairs = positives as f64 * below as f64;
    (pairs > 0.0).then(|| won as f64 / (2.0 * pairs))
}
