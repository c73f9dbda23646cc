//! Notes that a reader needs to interpret a comparison.

use indexmap::{IndexMap, IndexSet};

use super::baseline::list;
use super::comparison::{Against, Comparison, Recipe, Selected, Test, Verdict};
use super::items::Missing;

/// Returns the notes below a comparison.
pub(super) fn notes(
    comparison: &Comparison,
    missing: &IndexSet<(Missing, String)>,
    other_splits: IndexMap<String, usize>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let recipes = &comparison.recipes;
    if comparison.compared < 2 {
        notes.push("there is only one recipe, so nothing to compare it with".to_owned());
    }
    if comparison.compared > recipes.len() {
        let (shown, all) = (recipes.len(), comparison.compared);
        notes.push(format!("{shown} of {all} recipes are shown; p is corrected for all of them"));
    }
    notes.extend(over_seeds(recipes));
    notes.extend(over_texts(recipes));
    notes.extend(left_out_of_texts(missing));
    if let Some(selected) = &comparison.selected {
        notes.push(best_of_many(selected, &comparison.split));
    }
    if let Some(ranks) = &comparison.ranks {
        let rough = if ranks.seeds < 10 { "; approximate with so few seeds" } else { "" };
        notes.push(format!(
            "ranks of {} recipes over {} seeds: Friedman's p {}; mean ranks {:.2} or more apart \
             differ (Nemenyi, 0.05){rough}",
            ranks.recipes,
            ranks.seeds,
            probability(ranks.p),
            ranks.critical_difference,
        ));
    }
    notes.extend(skipped(recipes));
    if !comparison.test_rows.same {
        notes.push(
            "the recipes were tested on different rows, so differences may be due to the texts"
                .to_owned(),
        );
    } else if comparison.test_rows.digest.is_none() && comparison.compared > 1 {
        notes.push(
            "there are no predictions, so only the number of test rows could be compared"
                .to_owned(),
        );
    }
    for (split, rows) in other_splits {
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        notes
            .push(format!("{rows} of split {split} left out; compare them with `--split {split}`"));
    }
    notes
}

fn compared(recipes: &[Recipe]) -> impl Iterator<Item = (&Recipe, &Against)> {
    recipes.iter().filter_map(|recipe| Some((recipe, recipe.against.as_ref()?)))
}

fn over_seeds(recipes: &[Recipe]) -> Vec<String> {
    let mut notes = Vec::new();
    let tested = compared(recipes).filter(|(_, against)| against.p.is_some()).count();
    let named = |test: Test| -> Vec<&str> {
        compared(recipes)
            .filter(|(_, a)| a.test == Some(test))
            .map(|(recipe, _)| recipe.name.as_str())
            .collect()
    };
    if tested > 0 {
        notes.push(
            "differences are paired by seed: p of Student's test with Holm's correction, 95 % \
             intervals, d is Cohen's d_z"
                .to_owned(),
        );
    }
    let welch = named(Test::Welch);
    if !welch.is_empty() {
        let names = list(welch.into_iter());
        notes.push(format!(
            "fewer than two seeds in common with the baseline, so Welch's unpaired test is used: \
             {names}"
        ));
    }
    let same = named(Test::Wilcoxon);
    if !same.is_empty() {
        let names = list(same.into_iter());
        notes.push(format!(
            "the same difference at every seed, so p comes from Wilcoxon's test: {names}"
        ));
    }
    let floors: IndexSet<usize> = compared(recipes)
        .filter(|(_, against)| against.wilcoxon_least.is_some_and(|least| least > 0.05))
        .map(|(_, against)| against.seeds.len())
        .collect();
    if let Some(pairs) = floors.iter().max() {
        let least = 2.0 * 0.5f64.powi(*pairs as i32);
        notes.push(format!("with {pairs} pairs, Wilcoxon's test cannot give p below {least}"));
    }
    let more =
        |against: &Against| matches!(against.verdict, Verdict::TooFewSeeds { more: Some(_) });
    if compared(recipes).any(|(_, against)| more(against)) {
        notes.push(
            "`more seeds`: additional seeds needed to detect a true difference of one point (0.01) \
             four times in five"
                .to_owned(),
        );
    }
    let single = recipes.iter().any(|recipe| recipe.values.len() == 1);
    if single {
        notes.push(
            "one seed does not show the noise between seeds; `pipe run --seeds 0..4` runs five; \
             results over texts hold only for these trained models"
                .to_owned(),
        );
    }
    notes
}

fn over_texts(recipes: &[Recipe]) -> Option<String> {
    let items = compared(recipes).find_map(|(_, against)| against.items)?;
    let several = compared(recipes).filter_map(|(_, a)| a.items).any(|items| items.seeds > 1);
    let combined = if several { ", with several seeds twice the median" } else { "" };
    let resamples = items.resamples;
    Some(format!(
        "over texts: paired bootstrap of the {} test texts ({resamples} resamples), McNemar's \
         exact p{combined}",
        items.texts
    ))
}

fn left_out_of_texts(missing: &IndexSet<(Missing, String)>) -> Vec<String> {
    let named = |reason: Missing| -> Vec<&str> {
        missing
            .iter()
            .filter(|(found, _)| *found == reason)
            .map(|(_, name)| name.as_str())
            .collect()
    };
    let note = |reason: Missing, text: &str| {
        let names = named(reason);
        (!names.is_empty()).then(|| format!("{text}: {}", list(names.into_iter())))
    };
    [
        note(
            Missing::Predictions,
            "no test over texts, since predictions of one or both recipes are missing",
        ),
        note(
            Missing::Stale,
            "no test over texts, since the predictions do not match the metric in the results",
        ),
        note(Missing::NoPairs, "no test over texts, since the seeds or the test rows differ"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn best_of_many(selected: &Selected, split: &str) -> String {
    let Selected { name, trials, value, .. } = selected;
    match (selected.corrected, selected.bias, selected.resampled) {
        (Some(corrected), Some(bias), Some(resampled)) => format!(
            "`{name}` is the best of {trials} trials by this metric on {split}: of its \
             {value:.4}, {bias:.4} is selection bias if it is chosen for that (bootstrap over \
             {resampled}); expect {corrected:.4}"
        ),
        _ => format!(
            "`{name}` is the best of {trials} trials by this metric on {split}; if it is chosen \
             for that, its {value:.4} is optimistic; to estimate by how much, all trials need the \
             same seeds, or predictions"
        ),
    }
}

fn skipped(recipes: &[Recipe]) -> Option<String> {
    let rows = || recipes.iter().flat_map(|recipe| &recipe.skipped);
    let failed = rows().filter(|row| row.error.is_some()).count();
    let stopped = rows().filter(|row| row.error.is_none() && row.stopped_epoch.is_some()).count();
    let without = rows().count() - failed - stopped;
    let parts: Vec<String> =
        [(failed, "failed"), (stopped, "stopped early"), (without, "without the metric")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
    (!parts.is_empty()).then(|| format!("rows left out: {}", parts.join(", ")))
}

/// Writes a probability for people, with four decimals and never rounded to 0.
pub(in crate::results) fn probability(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}
