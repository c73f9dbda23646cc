//! Texts that a model is scored on, and has learnt from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::cut::cut;
use crate::data::normal::revealed;
use crate::data::{DataSet, Example, Seen, Split};
use crate::stages::contract::stage::{Ctx, StageId};

/// The most texts that an error shows.
const SHOWN: usize = 5;

/// How to treat texts that are scored although the model has learnt from equal ones: in another
/// `load` stage, another file, or before it was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaks {
    /// Fails, with their number and some of them.
    #[default]
    Error,
    /// Scores them like the others, with a warning.
    Allow,
}

impl Leaks {
    /// Says whether this is the default.
    pub fn is_error(&self) -> bool {
        *self == Leaks::Error
    }
}

/// Texts of a split that the model must not be scored on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "{count} of {all} {scored} texts of `{data}` are among those that {model} has learnt from:\n\
     {shown}"
)]
#[diagnostic(help(
    "split the texts once, in one `load` stage that both use; `duplicates: allow` scores them all \
     the same"
))]
pub struct LeakError {
    pub count: usize,
    pub all: usize,
    pub scored: Split,
    pub data: StageId,
    /// The model, with backquotes.
    pub model: String,
    /// The first of them, a line each.
    pub shown: String,
}

impl Leaks {
    /// Looks in a split of the data set of a stage for texts that `model` has seen.
    ///
    /// # Errors
    ///
    /// Fails where there are some, unless they are allowed.
    pub fn check(
        self,
        ctx: &dyn Ctx,
        (model, seen): (&str, &Seen),
        (stage, data): (&StageId, &DataSet),
        scored: Split,
    ) -> Result<(), LeakError> {
        let leaks = data.leaks(seen, scored);
        if leaks.is_empty() {
            return Ok(());
        }
        let (count, all) = (leaks.len(), data.splits.get(scored).len());
        if self == Leaks::Allow {
            ctx.warn(&format!(
                "{count} of {all} {scored} texts are among those that {model} has learnt from"
            ));
            return Ok(());
        }
        let shown: Vec<String> = leaks.iter().take(SHOWN).map(line).collect();
        let (data, model, shown) = (stage.clone(), model.to_owned(), shown.join("\n"));
        Err(LeakError { count, all, scored, data, model, shown })
    }
}

fn line((example, split): &(&Example, Split)) -> String {
    let text = cut(&revealed(&example.text.to_string()), 60);
    format!("  {}, seen in {split}: \"{text}\"", example.id)
}
