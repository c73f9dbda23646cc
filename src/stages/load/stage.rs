//! The work of `load`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::check;
use super::config::{Duplicates, Load, UnlabelledTexts};
use super::duplicates::{self, Found, Part, UNSPLIT};
use super::error::LoadError;
use super::labels::{hint_at, labels, warn_of_labels};
use super::split::{quotas, shuffled};
use super::unlabelled;
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::data::normal::revealed;
use crate::data::source::{self, Reading, Remark, SourceRow, Table};
use crate::data::{DataSet, Example, Split, Splits, Task, TaskKind, Unlabelled};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::Output;
use crate::stages::contract::stage::{
    Ctx, DataFact, External, Fact, Port, RuntimeNeeds, Stage, resolve,
};

impl Stage for Load {
    fn code_version(&self) -> u32 {
        2
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        Vec::new()
    }

    fn check(&self, _inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        let mut errors = Vec::new();
        match (&self.path, &self.files) {
            (None, None) => {
                errors.push(CheckError::new("", "neither `path` nor `files` is given").hint(
                    "give `path: FILE`, or `files: { train: …, test: … }` for data that is already \
                     split",
                ))
            }
            (Some(_), Some(_)) => errors.push(
                CheckError::new("files", "both `path` and `files` are given; expected one of them")
                    .hint(
                        "use `path` with `split` for one file, or `files` for data that is already \
                         split",
                    ),
            ),
            _ => {}
        }
        if self.files.is_some() && self.split.is_some() {
            errors.push(
                CheckError::new(
                    "split",
                    "`files` are already split, and `split` would split them again",
                )
                .hint("remove `split`, or give one `path` instead of `files`"),
            );
        }
        if let Some(split) = &self.split {
            errors.extend(check::split(split));
        }
        if self.text == self.label {
            errors.push(CheckError::new(
                "label",
                format!("`text` and `label` are both `{}`", self.text),
            ));
        }
        errors.extend(check::tables(self, &self.paths()));
        errors.extend(check::unlabelled(self));
        for (key, shots) in [("shots", self.shots), ("dev_shots", self.dev_shots)] {
            if shots == Some(0) {
                errors.push(CheckError::new(key, format!("`{key}` is 0; expected at least 1")));
            }
        }
        let (has_dev, has_test) = match (&self.files, &self.split) {
            (Some(files), _) => (files.dev.is_some(), files.test.is_some()),
            (None, Some(split)) => (split.dev > 0.0, split.test > 0.0),
            (None, None) => (false, false),
        };
        if self.dev_shots.is_some() && !has_dev {
            errors.push(
                CheckError::new(
                    "dev_shots",
                    "`dev_shots` draws from a dev split, but there is none",
                )
                .hint("set `split.dev` or `files.dev`, or remove `dev_shots`"),
            );
        }
        if errors.is_empty() {
            Ok(Fact::Data(DataFact {
                task: TaskKind::Classes,
                has_dev,
                has_test,
                augmented: false,
                unlabelled: self.unlabelled.is_some(),
            }))
        } else {
            Err(errors)
        }
    }

    fn externals(
        &self,
        folder: &Path,
        _fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let mut externals = Vec::new();
        for path in self.paths() {
            let full = resolve(folder, path);
            if !full.is_file() {
                return Err(Box::new(LoadError::NoFile { path: path.to_owned(), full }));
            }
            // Not remembered by times and size, as those of models are: people edit tables.
            let digest = Digest::of_file(&full)
                .map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
            externals.push(External { name: path.to_owned(), digest });
        }
        Ok(externals)
    }

    fn uses_seed(&self) -> bool {
        self.shots.is_some() || self.dev_shots.is_some()
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        None
    }

    fn run(&self, ctx: &dyn Ctx, _inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let mut data = match &self.files {
            Some(_) => self.read_files(ctx)?,
            None => self.read_and_split(ctx)?,
        };
        let rest = draw(
            &mut data.splits.train,
            data.task.labels(),
            self.shots,
            (Split::Train, "shots"),
            ctx.seed(),
        )?;
        draw(
            &mut data.splits.dev,
            data.task.labels(),
            self.dev_shots,
            (Split::Dev, "dev_shots"),
            ctx.seed(),
        )?;
        for (split, examples) in data.splits.iter().filter(|(split, _)| *split != Split::Train) {
            let seen: BTreeSet<usize> = examples.iter().map(|example| example.class()).collect();
            for (label, name) in data.labels().iter().enumerate() {
                if !examples.is_empty() && !seen.contains(&label) {
                    ctx.warn(&format!(
                        "{split} has no row of class `{name}`; the scores of this class are \
                         meaningless there"
                    ));
                }
            }
        }
        ctx.note(&format!(
            "{} train, {} dev and {} test texts of {} classes",
            data.splits.train.len(),
            data.splits.dev.len(),
            data.splits.test.len(),
            data.labels().len()
        ));
        data.unlabelled = self.without_labels(ctx, &data, rest)?;
        Ok(Arc::new(data))
    }
}

impl Load {
    fn paths(&self) -> Vec<&str> {
        let files = self.files.iter().flat_map(|files| {
            std::iter::once(files.train.as_str())
                .chain(files.dev.as_deref())
                .chain(files.test.as_deref())
        });
        let unlabelled = self.unlabelled.iter().filter_map(|texts| texts.path.as_deref());
        self.path.as_deref().into_iter().chain(files).chain(unlabelled).collect()
    }

    /// Returns the texts without labels: those of the file, then what `shots` has left over.
    fn without_labels(
        &self,
        ctx: &dyn Ctx,
        data: &DataSet,
        rest: Vec<Example>,
    ) -> Result<Vec<Unlabelled>, LoadError> {
        let Some(UnlabelledTexts { path, rest: takes_rest }) = &self.unlabelled else {
            return Ok(Vec::new());
        };
        let mut texts = Vec::new();
        if let Some(path) = path {
            let Table { rows, without_text, .. } = self.read(ctx, path, None)?;
            if without_text > 0 {
                ctx.note(&format!("rows without a text left out of `{path}`: {without_text}"));
            }
            texts.extend(rows.into_iter().map(|row| Unlabelled {
                id: format!("unlabelled-{}", row.place.row),
                text: row.text.into(),
            }));
        }
        if *takes_rest {
            texts.extend(rest.into_iter().map(|Example { id, text, .. }| Unlabelled { id, text }));
        }
        unlabelled::treat(ctx, data, texts, self.duplicates)
    }

    /// Reads a table and says what there is to say about it.
    fn read(&self, ctx: &dyn Ctx, path: &str, label: Option<&str>) -> Result<Table, LoadError> {
        let reading = Reading {
            text: &self.text,
            label,
            // `check` refuses names that are none.
            separator: self.separator.as_deref().and_then(|name| name.parse().ok()),
            quoting: self.quoting,
            encoding: self.encoding.as_deref().and_then(|name| name.parse().ok()),
            empty: self.empty,
        };
        let table = source::read(&resolve(ctx.folder(), path), &reading)?;
        for remark in &table.remarks {
            match remark {
                Remark::Note(line) => ctx.note(line),
                Remark::Warning(line) => ctx.warn(line),
            }
        }
        Ok(table)
    }

    fn treat_duplicates(&self, ctx: &dyn Ctx, parts: &mut [Part]) -> Result<(), LoadError> {
        let Found { dropped, leaking, harmless, contradicting } =
            duplicates::treat(parts, self.duplicates)?;
        if dropped > 0 {
            ctx.note(&format!("duplicate texts dropped: {dropped}"));
        } else if leaking > 0 && self.duplicates == Duplicates::Allow {
            ctx.warn(&format!("duplicate texts kept, possibly in both train and test: {leaking}"));
        } else if harmless > 0 {
            ctx.note(&format!("duplicate texts kept within one file: {harmless}"));
        }
        if contradicting > 0 {
            ctx.warn(&format!("duplicate texts with different labels: {contradicting}"));
        }
        Ok(())
    }

    fn read_files(&self, ctx: &dyn Ctx) -> Result<DataSet, LoadError> {
        let mut parts = Vec::new();
        let mut without_text = Vec::new();
        if let Some(files) = &self.files {
            // Test comes first, so that train loses a text that both have.
            for (split, path) in [
                (Split::Test, files.test.as_deref()),
                (Split::Dev, files.dev.as_deref()),
                (Split::Train, Some(&*files.train)),
            ] {
                let table = path.map(|path| self.read(ctx, path, Some(&self.label)));
                let table = table.transpose()?.unwrap_or_default();
                if table.without_text > 0 {
                    without_text.push(format!("{} of {split}", table.without_text));
                }
                parts.push(Part { split: Some(split), rows: table.rows });
            }
        }
        if !without_text.is_empty() {
            ctx.note(&format!("rows without a text left out: {}", without_text.join(", ")));
        }
        warn_of_labels(ctx, &parts);
        self.treat_duplicates(ctx, &mut parts)?;
        let of = |wanted: Split| {
            parts
                .iter()
                .filter(|part| part.split == Some(wanted))
                .flat_map(|part| &part.rows)
                .collect::<Vec<_>>()
        };
        let labels = labels(&of(Split::Train))?;
        let splits = Splits::try_of(|split| examples(split.name(), &of(split), &labels))?;
        Ok(DataSet { task: Task::Classes { labels }, splits, ..DataSet::default() })
    }

    fn read_and_split(&self, ctx: &dyn Ctx) -> Result<DataSet, LoadError> {
        let table = self.path.as_deref().map(|path| self.read(ctx, path, Some(&self.label)));
        let table = table.transpose()?;
        let Table { rows, without_text, .. } = table.unwrap_or_default();
        if without_text > 0 {
            ctx.note(&format!("rows without a text left out, before the split: {without_text}"));
        }
        let mut parts = [Part { split: None, rows }];
        warn_of_labels(ctx, &parts);
        self.treat_duplicates(ctx, &mut parts)?;
        let rows: Vec<&SourceRow> = parts.iter().flat_map(|part| &part.rows).collect();
        let labels = labels(&rows)?;
        let all = examples(UNSPLIT, &rows, &labels)?;
        let sizes = self.split.clone().unwrap_or_default();
        let mut split = vec![Split::Train; all.len()];
        let by_class = by_class(&all, labels.len());
        let counts: Vec<usize> = by_class.iter().map(Vec::len).collect();
        let mut free: Vec<usize> = counts.iter().map(|count| count.saturating_sub(1)).collect();
        let orders: Vec<Vec<usize>> = by_class
            .iter()
            .zip(&labels)
            .map(|(rows, label)| shuffled(sizes.seed, "split", label, rows))
            .collect();
        let mut taken = vec![0; labels.len()];
        for (to, asked) in [(Split::Test, sizes.test), (Split::Dev, sizes.dev)] {
            let wanted = rows_of(asked, all.len());
            let quotas = quotas(&counts, &free, wanted);
            let given: usize = quotas.iter().sum();
            if asked >= 1.0 && given < wanted {
                return Err(LoadError::SplitTooLarge { split: to, asked, possible: given });
            }
            if asked > 0.0 && given == 0 {
                return Err(LoadError::EmptySplit { split: to, asked, rows: all.len() });
            }
            if given < wanted {
                ctx.warn(&format!(
                    "{to} has {given} rows instead of {wanted}: every class keeps one for train"
                ));
            }
            for (class, quota) in quotas.into_iter().enumerate() {
                for &row in orders[class].iter().skip(taken[class]).take(quota) {
                    split[row] = to;
                }
                taken[class] += quota;
                free[class] -= quota;
            }
        }
        let mut data = DataSet { task: Task::Classes { labels }, ..DataSet::default() };
        for (example, split) in all.into_iter().zip(split) {
            data.splits.get_mut(split).push(example);
        }
        Ok(data)
    }
}

/// Returns the row count of a size, which is a fraction of the rows or a count.
fn rows_of(asked: f64, rows: usize) -> usize {
    if asked < 1.0 { (asked * rows as f64).round() as usize } else { asked as usize }
}

fn examples(
    split: &'static str,
    rows: &[&SourceRow],
    labels: &[String],
) -> Result<Vec<Example>, LoadError> {
    let index: BTreeMap<&str, usize> =
        labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect();
    rows.iter()
        .map(|row| {
            let label = *index.get(row.label.as_str()).ok_or_else(|| LoadError::UnknownLabel {
                split,
                label: revealed(&row.label),
                place: row.place,
                hint: hint_at(&row.label, labels),
            })?;
            Ok(Example::original(format!("{split}-{}", row.place.row), row.text.clone(), label))
        })
        .collect()
}

fn by_class(examples: &[Example], classes: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); classes];
    for (row, example) in examples.iter().enumerate() {
        rows[example.class()].push(row);
    }
    rows
}

/// Keeps `shots` examples of each class, in their order, and returns the others in theirs.
fn draw(
    examples: &mut Vec<Example>,
    labels: &[String],
    shots: Option<usize>,
    (split, key): (Split, &'static str),
    seed: u64,
) -> Result<Vec<Example>, LoadError> {
    let Some(asked) = shots else { return Ok(Vec::new()) };
    let mut kept = BTreeSet::new();
    for (rows, label) in by_class(examples, labels.len()).iter().zip(labels) {
        if rows.len() < asked {
            return Err(LoadError::TooFewRows {
                label: label.clone(),
                found: rows.len(),
                split,
                key,
                asked,
            });
        }
        kept.extend(shuffled(seed, key, label, rows).into_iter().take(asked));
    }
    let all = std::mem::take(examples).into_iter().enumerate();
    let (drawn, rest): (Vec<_>, Vec<_>) = all.partition(|(row, _)| kept.contains(row));
    *examples = drawn.into_iter().map(|(_, example)| example).collect();
    Ok(rest.into_iter().map(|(_, example)| example).collect())
}
