//! `pipe show --augmented STAGE`: prints the texts that an `augment` stage generated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use unicode_segmentation::UnicodeSegmentation;

use super::args::ShowArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::open::output;
use super::printer::Printer;
use super::tables;
use crate::base::cut::{self, line as one_line, visible_line};
use crate::data::{AugmentationRow, AugmentationSummary, DataSet, Example};
use crate::pipeline::problem::suggest;
use crate::runner::Project;
use crate::runner::record::runs::Run;

/// The most characters of a text that are compared with its parent's, since the time is quadratic.
const MOST_COMPARED: usize = 10_000;

/// How many texts are shown by default.
const SHOWN: usize = 20;

/// Prints the counts of generated texts by method (with `-v` also by class). Then prints an even
/// sample of generated texts beside their parents.
pub fn show(
    project: &Project,
    run: &Run,
    stage: &str,
    args: &ShowArgs,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let records = &run.provenance.stages;
    // Most trials of a sweep share their texts.
    let mut seen = BTreeSet::new();
    let outputs: Vec<(Option<u64>, u64)> = records
        .iter()
        .filter(|record| record.stage == stage && seen.insert(record.key))
        .map(|record| (record.trial, record.seed))
        .collect();
    if outputs.is_empty() {
        let names: BTreeSet<&str> = records.iter().map(|record| record.stage.as_str()).collect();
        let hint = suggest::hint(stage, "its stages are", names.into_iter().collect::<Vec<_>>());
        return Err(Failure::usage(
            format!("run `{}` has no stage `{stage}`", run.provenance.run),
            hint,
        ));
    }
    let mut text = String::new();
    let mut for_programs: Vec<Value> = Vec::new();
    for (trial, seed) in outputs {
        let data = output(project, run, stage, trial, seed, |folder| {
            Ok(if DataSet::is_in(folder) { DataSet::read(folder)? } else { DataSet::default() })
        })?;
        if data.augmentation.rows.is_empty() {
            let hint = Some(
                "name an `augment` stage, or one that gets its data from an `augment` stage"
                    .to_owned(),
            );
            return Err(Failure::usage(format!("stage `{stage}` holds no generated texts"), hint));
        }
        let known: BTreeMap<&str, &Example> =
            data.splits.train.iter().map(|example| (example.id.as_str(), example)).collect();
        let made: Vec<&Example> =
            data.splits.train.iter().filter(|example| !example.is_original()).collect();
        let count = args
            .table
            .top
            .unwrap_or(if args.table.json { made.len() } else { SHOWN })
            .min(made.len());
        // An even sample: neighbours in the list have the same class and method.
        let shown = (0..count).map(|index| made[index * made.len() / count.max(1)]);
        if args.table.json {
            for_programs.extend(shown.map(|example| record(seed, example, data.labels(), &known)));
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{stage}, seed {seed}: {} generated texts beside {} originals\n",
            made.len(),
            data.splits.train.len() - made.len()
        );
        text.push_str(&table(&data.augmentation.rows, printer.is_verbose()));
        if count > 0 {
            let _ = writeln!(text, "\n{count} of them; [-gone-] {{+new+}}");
        }
        for example in shown {
            text.push_str(&beside_parents(example, data.labels(), &known));
        }
    }
    if args.table.json {
        return printer.data(format!("{:#}\n", Value::from(for_programs)));
    }
    printer.text(text)
}

/// Lays out the counts of generated texts by method, and by class if asked for.
fn table(rows: &[AugmentationRow], by_class: bool) -> String {
    let headers = [
        "method",
        "class",
        "asked",
        "unchanged",
        "leaks",
        "repeats",
        "too_far",
        "astray",
        "kept",
        "accepted_share",
        "mean_distance",
        "copy_rate",
    ];
    let mut groups: Vec<(String, Vec<&AugmentationRow>)> = Vec::new();
    for row in rows {
        let class = if by_class { row.label.as_str() } else { "" };
        let key = format!("{}\n{}\n{class}", row.pass, row.entry);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    let mut lines = vec![headers.map(str::to_owned).to_vec()];
    for (_, group) in &groups {
        let sum = |of: fn(&AugmentationRow) -> u64| {
            group.iter().map(|row| of(row)).sum::<u64>().to_string()
        };
        let summary = AugmentationSummary::of(group.iter().copied());
        let figure = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
        };
        lines.push(vec![
            group[0].method.clone(),
            group[0].label.clone(),
            sum(|row| row.asked),
            sum(|row| row.unchanged),
            sum(|row| row.leaks),
            sum(|row| row.repeats),
            sum(|row| row.too_far),
            sum(|row| row.astray),
            sum(|row| row.kept),
            figure(summary.accepted_share),
            figure(summary.augmentation_loss),
            figure(summary.copy_rate),
        ]);
    }
    if !by_class {
        lines.iter_mut().for_each(|line| drop(line.remove(1)));
    }
    tables::columns(&lines)
}

/// Writes a generated text below its originals, with the changes marked.
fn beside_parents(
    example: &Example,
    labels: &[String],
    known: &BTreeMap<&str, &Example>,
) -> String {
    let label = labels.get(example.class()).map_or("", String::as_str);
    let label = one_line(label, cut::MOST);
    let mut text = format!("\n{} ({label})\n", visible_line(&example.id));
    let parents: Vec<&Example> =
        example.parents().iter().filter_map(|id| known.get(id.as_str()).copied()).collect();
    for parent in &parents {
        let (id, words) = (visible_line(&parent.id), one_line(&parent.text.joined(), cut::MOST));
        let _ = writeln!(text, "  {id}: {words}");
    }
    let made = match parents[..] {
        [parent] => {
            let whole = [parent, example].map(|one| one_line(&one.text.joined(), MOST_COMPARED));
            marked(&whole[0], &whole[1])
        }
        _ => {
            let words: BTreeSet<&str> =
                parents.iter().flat_map(|parent| parent.text.first.split_word_bounds()).collect();
            let is_new = |word: &str| !word.trim().is_empty() && !words.contains(word);
            let mark =
                |word: &str| if is_new(word) { format!("{{+{word}+}}") } else { word.to_owned() };
            let text = one_line(&example.text.joined(), cut::MOST);
            text.split_word_bounds().map(mark).collect()
        }
    };
    let _ = writeln!(text, "  => {made}");
    text
}

/// Marks removed and added words.
fn marked(before: &str, after: &str) -> String {
    let diff = TextDiff::from_unicode_words(before, after);
    let mut text = String::new();
    let changes: Vec<_> =
        diff.iter_all_changes().map(|change| (change.tag(), change.value())).collect();
    for group in changes.chunk_by(|a, b| a.0 == b.0) {
        let run: String = group.iter().map(|(_, value)| *value).collect();
        match group[0].0 {
            ChangeTag::Equal => text.push_str(&middle_cut(&run)),
            ChangeTag::Delete => text.push_str(&format!("[-{}-]", cut::cut(&run, cut::MOST))),
            ChangeTag::Insert => text.push_str(&format!("{{+{}+}}", cut::cut(&run, cut::MOST))),
        }
    }
    text
}

/// Cuts the middle of a long text, so that the changes beside it keep their neighbours.
fn middle_cut(text: &str) -> String {
    let count = text.chars().count();
    if count <= cut::MOST {
        return text.to_owned();
    }
    let side = cut::MOST / 2;
    let first: String = text.chars().take(side).collect();
    let last: String = text.chars().skip(count - side).collect();
    format!("{}…{}", first.trim_end(), last.trim_start())
}

fn record(
    seed: u64,
    example: &Example,
    labels: &[String],
    known: &BTreeMap<&str, &Example>,
) -> Value {
    let parents: Vec<Value> = example
        .parents()
        .iter()
        .map(|id| {
            let text = known.get(id.as_str()).map(|parent| parent.text.joined());
            json!({ "id": id, "text": text })
        })
        .collect();
    let method: Value =
        example.method().and_then(|method| serde_json::from_str(method).ok()).unwrap_or_default();
    json!({
        "seed": seed,
        "id": example.id,
        "label": labels.get(example.class()),
        "text": example.text.joined(),
        "parents": parents,
        "method": method,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_marked_word_by_word() {
        assert_eq!(
            marked("Where is my card?", "Where is the card?"),
            "Where is [-my-]{+the+} card?"
        );
        assert_eq!(marked("a b c", "a c"), "a [-b -]c");
        assert_eq!(marked("卡在哪里", "卡在这里"), "卡在[-哪-]{+这+}里");
        assert_eq!(marked("same", "same"), "same");
        let long = |word: &str| format!("{}{word}{}", "a ".repeat(1000), " b".repeat(1000));
        let shown = marked(&long("old"), &long("new"));
        assert!(shown.contains("a [-old-]{+new+} b"), "{shown}");
        assert!(shown.chars().count() < 400, "{shown}");
    }
}
