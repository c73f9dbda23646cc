//! Texts on which two recipes differ.

use indexmap::IndexMap;

use super::comparison::{Example, Examples, Vote};
use super::draft::Draft;
use super::error::CompareError;
use super::items::{AllSorted, Sorted, common};

/// Lists texts that only one of two recipes predicts correctly, at the seeds of both. Texts that
/// flip the same way at most seeds come first.
pub(super) fn examples(
    drafts: &[Draft<'_>],
    all: &AllSorted<'_>,
    baseline: usize,
    recipe: usize,
    most: usize,
) -> Result<Examples, CompareError> {
    let missing = |reason: String| CompareError::NoPredictions { reason };
    let (base, this) = (&drafts[baseline], &drafts[recipe]);
    let mut blocks = Vec::new();
    for (a, b) in common(drafts, baseline, recipe) {
        let of = |recipe: usize, place: usize| {
            all.get(&(recipe, place)).ok_or_else(|| {
                let seed = drafts[recipe].entries[place].row.seed;
                missing(format!("`{}` has none at seed {seed}", drafts[recipe].name))
            })
        };
        blocks.push([of(baseline, a)?, of(recipe, b)?]);
    }
    let Some([first, _]) = blocks.first() else {
        return Err(missing(format!("`{}` and `{}` have no seed in common", base.name, this.name)));
    };
    if blocks.iter().flatten().any(|sorted| sorted.digest != first.digest) {
        return Err(missing(format!(
            "`{}` and `{}` were tested on different rows",
            base.name, this.name
        )));
    }
    let texts = first.order.len();
    let mut examples: Vec<Example> = (0..texts).filter_map(|item| example(&blocks, item)).collect();
    // The sort is stable: texts that flip equally often stay in the order of their ids.
    examples.sort_by_key(|example| {
        (
            std::cmp::Reverse(example.fixed.abs_diff(example.broken)),
            std::cmp::Reverse(example.fixed),
        )
    });
    let flipped = examples.len();
    examples.truncate(most);
    Ok(Examples {
        baseline: base.name.clone(),
        recipe: this.name.clone(),
        seeds: blocks.len(),
        flipped,
        examples,
    })
}

fn example(blocks: &[[&Sorted<'_>; 2]], item: usize) -> Option<Example> {
    let row = |sorted: &Sorted<'_>| sorted.block.rows[sorted.order[item]].clone();
    let (mut fixed, mut broken) = (0, 0);
    let mut votes = [IndexMap::new(), IndexMap::new()];
    for pair in blocks {
        let right = pair.map(|sorted| {
            let row = &sorted.block.rows[sorted.order[item]];
            row.label == row.prediction
        });
        fixed += usize::from(right == [false, true]);
        broken += usize::from(right == [true, false]);
        for (votes, sorted) in votes.iter_mut().zip(pair) {
            let name = &sorted.block.labels[row(sorted).prediction];
            *votes.entry(name.clone()).or_insert(0usize) += 1;
        }
    }
    if fixed + broken == 0 {
        return None;
    }
    let [baseline, recipe] = votes.map(|votes| {
        let mut votes: Vec<Vote> =
            votes.into_iter().map(|(prediction, seeds)| Vote { prediction, seeds }).collect();
        votes.sort_by_key(|vote| std::cmp::Reverse(vote.seeds));
        votes
    });
    let first = blocks.first()?[0];
    let row = row(first);
    let label = first.block.labels[row.label].clone();
    Some(Example { id: row.id, text: row.text, label, baseline, recipe, fixed, broken })
}
