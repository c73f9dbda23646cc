//! A table with predictions beside its columns.

use super::answers::Answer;
use super::classifier::Classifier;
use crate::base::report::Report;
use crate::data::predicted::WriteError;
use crate::data::source::error::SourceError;
use crate::data::source::{Part, WholeTable};
use crate::data::{Added, PredictedTable, Values};
use crate::stages::StageError;

/// What is said of each text.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// What stands before the names of the new columns.
    pub prefix: String,
    /// Whether the probability of every class is told.
    pub all: bool,
    /// How many of the likeliest classes are told, from 1.
    pub top: usize,
    /// The probability below which `otherwise` stands in place of the label.
    pub threshold: Option<f32>,
    pub otherwise: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub rows: u64,
    /// Rows without a text, which have no prediction.
    pub without_text: u64,
    /// The row of the first of them.
    pub first: Option<crate::data::source::Place>,
    /// Rows whose label is not told, as none is likely enough.
    pub unsure: u64,
}

/// A row without a text.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("row {place} of `{file}` has no text")]
#[diagnostic(help(
    "`--skip-bad` leaves its prediction empty, and leaves out rows that cannot be read"
))]
pub struct NoText {
    pub file: String,
    pub place: crate::data::source::Place,
}

/// Why a table was not predicted to its end.
#[derive(Debug)]
pub enum Ended {
    /// The user has asked to stop.
    Stopped,
    /// Something about the table.
    Table(StageError),
    Write(WriteError),
    /// Something about the model.
    Model(StageError),
}

/// The rows that are read at a time, as they come.
const PART: usize = 1024;

/// What is predicted, and how.
pub struct Job<'a> {
    pub classifier: &'a mut Classifier,
    pub columns: &'a Columns,
    /// The name of the table, for messages.
    pub file: &'a str,
    /// Whether bad rows are passed over.
    pub skips: bool,
    pub report: &'a dyn Report,
    pub stops: &'a (dyn Fn() -> bool + Sync),
}

impl Job<'_> {
    /// Reads a table to its end and writes it with predictions, part by part. `told` hears the
    /// number of rows that are done.
    ///
    /// # Errors
    ///
    /// Fails for a bad row, unless those are passed over, where the model or the writing does, and
    /// where the user asks to stop.
    pub fn run(
        &mut self,
        mut table: WholeTable,
        mut out: PredictedTable,
        told: &dyn Fn(u64),
    ) -> Result<(Done, WholeTable), Ended> {
        table.leaves_out = self.skips;
        let mut done = Done::default();
        let of_table = |error| Ended::Table(Box::new(of_flags(error)));
        while let Some(part) = table.next(PART).map_err(of_table)? {
            let Part { places, texts, original } = part;
            for (place, text) in places.iter().zip(&texts) {
                if text.is_some() {
                    continue;
                }
                if !self.skips {
                    let file = self.file.to_owned();
                    return Err(Ended::Table(Box::new(NoText { file, place: *place })));
                }
                done.without_text += 1;
                done.first.get_or_insert(*place);
            }
            let some: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
            let answered = self.classifier.answer(&some, self.report, self.stops);
            // What was not answered was perhaps not to be.
            let ended = |error| if (self.stops)() { Ended::Stopped } else { Ended::Model(error) };
            let mut answers = answered.map_err(ended)?.into_iter();
            if (self.stops)() {
                return Err(Ended::Stopped);
            }
            let rows: Vec<Option<Answer>> =
                texts.iter().map(|text| text.as_ref().and_then(|_| answers.next())).collect();
            done.rows += rows.len() as u64;
            done.unsure += rows.iter().flatten().filter(|it| self.is_unsure(it)).count() as u64;
            out.write(original, &self.added(&rows)).map_err(Ended::Write)?;
            out.flush().map_err(Ended::Write)?;
            told(done.rows);
        }
        out.finish(&self.added(&[])).map_err(Ended::Write)?;
        Ok((done, table))
    }

    fn is_unsure(&self, answer: &Answer) -> bool {
        self.columns.threshold.is_some_and(|least| answer.probability() < least)
    }

    /// Returns the columns that are added to rows.
    fn added(&self, rows: &[Option<Answer>]) -> Vec<Added> {
        let labels = self.classifier.labels();
        let name = |name: &str| format!("{}{name}", self.columns.prefix);
        let texts = |of: &dyn Fn(&Answer) -> Option<String>| {
            Values::Texts(rows.iter().map(|row| row.as_ref().and_then(of)).collect())
        };
        let numbers = |of: &dyn Fn(&Answer) -> Option<f32>| {
            Values::Numbers(rows.iter().map(|row| row.as_ref().and_then(of)).collect())
        };
        let label = |answer: &Answer| match self.is_unsure(answer) {
            true => Some(self.columns.otherwise.clone()),
            false => Some(answer.label.clone()),
        };
        let mut added = vec![
            Added { name: name("prediction"), values: texts(&label) },
            Added { name: name("probability"), values: numbers(&|it| Some(it.probability())) },
        ];
        for place in 1..self.columns.top.min(labels.len()) {
            let class = |answer: &Answer| answer.ranked()[place];
            added.push(Added {
                name: name(&format!("prediction_{}", place + 1)),
                values: texts(&|it| Some(labels[class(it)].clone())),
            });
            added.push(Added {
                name: name(&format!("probability_{}", place + 1)),
                values: numbers(&|it| Some(it.probabilities[class(it)])),
            });
        }
        if self.columns.all {
            for (class, label) in labels.iter().enumerate() {
                added.push(Added {
                    name: name(&format!("p/{label}")),
                    values: numbers(&|it| it.probabilities.get(class).copied()),
                });
            }
        }
        added
    }
}

/// Puts the flags in place of the keys that a pipeline file has for the same.
pub fn of_flags(error: SourceError) -> SourceError {
    let flags = |text: String| {
        text.replace(
            "name the columns with the keys `text` and `label` of the stage",
            "name the column with `--text`",
        )
        .replace("`encoding: windows-1252`", "`--encoding windows-1252`")
    };
    match error {
        SourceError::NoColumn { file, column, found, hint } => {
            SourceError::NoColumn { file, column, found, hint: flags(hint) }
        }
        SourceError::Malformed { file, format, reason, hint } => {
            SourceError::Malformed { file, format, reason, hint: hint.map(flags) }
        }
        other => other,
    }
}
