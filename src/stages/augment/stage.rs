//! The work of `augment`: runs the methods over train and records the ids of the parents.

use std::path::Path;
use std::sync::Arc;

use super::config::{Augment, MethodConfig};
use super::growth::quality::{Filter, Keep};
use super::growth::{Entry, Growth};
use super::methods::contract::externals_of;
use crate::base::report::{Progress, Report};
use crate::base::secrets::Secrets;
use crate::data::{AugmentationRow, AugmentationSummary, Seen, TaskKind};
use crate::model::ModelError;
use crate::model::pretrained::SEEN_TEXTS;
use crate::model::source::resolve;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::inputs::Inputs;
use crate::stages::contract::output::{Kind, Output};
use crate::stages::contract::stage::{Ctx, External, Fact, Port, RuntimeNeeds, Stage};

impl Stage for Augment {
    fn code_version(&self) -> u32 {
        7
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        vec![Port { field: "data", stage: &self.data, expects: Kind::DATA, draw: 0 }]
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        let mut errors = Vec::new();
        if self.methods.is_empty() {
            errors.push(
                CheckError::new("methods", "`methods` is empty; expected at least one method")
                    .hint("write for example `- random_insertion: { rate: 0.1, copies: 2 }`"),
            );
        }
        for (index, config) in self.methods.iter().enumerate() {
            errors.extend(config.check(&format!("methods.{index}")));
        }
        errors.extend(self.keep.iter().flat_map(Keep::check));
        if let Some(Fact::Data(fact)) = inputs.first() {
            errors.extend(fact.misfit("data", &[TaskKind::Classes]));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(match inputs.first() {
            Some(Fact::Data(fact)) => {
                let mut fact = fact.clone();
                fact.augmented = true;
                Fact::Data(fact)
            }
            // The plan itself reports an input of the wrong kind.
            _ => return Err(Vec::new()),
        })
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let mut externals =
            externals_of(self.methods.iter().map(MethodConfig::method), folder, fetch)?;
        if let Some(keep) = &self.keep {
            externals.extend(keep.externals(folder, fetch)?);
        }
        Ok(externals)
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn runtime_needs(&self) -> Option<RuntimeNeeds<'_>> {
        let uses =
            self.keep.is_some() || self.methods.iter().any(|config| config.method().uses_runtime());
        uses.then(RuntimeNeeds::default)
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Arc<dyn Output>, StageError> {
        let original = inputs.data("data");
        let mut growth = Growth::of(original)?;
        let mut filter = match &self.keep {
            Some(keep) => Some(Filter::fit(ctx, keep, growth.originals())?),
            None => None,
        };
        let mut data = original.clone();
        let pass = data.augmentation.rows.iter().map(|row| row.pass).max().unwrap_or(0) + 1;
        for (index, config) in self.methods.iter().enumerate() {
            let settings = settings(config, &ctx.secrets())
                .map_err(|error| CheckError::new("methods", error.to_string()))?;
            ctx.progress(&Progress {
                activity: "augmenting",
                done: index as u64,
                total: Some(self.methods.len() as u64),
                unit: "methods",
                detail: config.name(),
            });
            let seed = config.method().amount().seed.unwrap_or_else(|| ctx.seed());
            let generator = config.method().fit(ctx, growth.originals(), seed)?;
            let entry = Entry { config, settings: &settings, seed, generator: &*generator };
            let mut grown = growth.grow(ctx, &entry, filter.as_mut())?;
            for row in &mut grown.rows {
                (row.pass, row.entry) = (pass, index as u64 + 1);
            }
            report(ctx, config.name(), &grown.rows);
            data.splits.train.extend(grown.made);
            data.augmentation.rows.extend(grown.rows);
        }
        // A model of ours that made or chose texts has passed on what it was trained on.
        for external in self.externals(ctx.folder(), None)? {
            match resolve::resolve(&external.name, ctx.folder(), ctx) {
                Ok(folder) => data.seen.add(&Seen::read(&folder.join(SEEN_TEXTS))?),
                // A file such as a list of words is no model.
                Err(ModelError::NoFolder { .. }) => {}
                Err(error) => return Err(Box::new(error)),
            }
        }
        Ok(Arc::new(data))
    }
}

/// Returns the settings of a method as they are kept beside the texts that it made.
fn settings(config: &MethodConfig, secrets: &Secrets) -> serde_json::Result<String> {
    let settings = serde_json::to_string(config)?;
    if secrets.is_empty() {
        return Ok(settings);
    }
    let mut settings: serde_json::Value = serde_json::from_str(&settings)?;
    secrets.hide_in(&mut settings);
    Ok(settings.to_string())
}

/// Reports the numbers of texts that a method added and lost.
fn report(ctx: &dyn Ctx, name: &str, rows: &[AugmentationRow]) {
    let sum = |of: fn(&AugmentationRow) -> u64| rows.iter().map(of).sum::<u64>();
    let (asked, kept) = (sum(|row| row.asked), sum(|row| row.kept));
    let summary = AugmentationSummary::of(rows);
    let mut line = format!("{name}: {kept} of {asked} texts added");
    for (what, value) in [
        ("accepted share", summary.accepted_share),
        ("augmentation loss", summary.augmentation_loss),
        ("copy rate", summary.copy_rate),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(", {what} {value:.2}"));
        }
    }
    ctx.note(&line);
    let dropped = [
        ("in dev or test", sum(|row| row.leaks)),
        ("in train", sum(|row| row.repeats)),
        ("too far", sum(|row| row.too_far)),
        ("nearer to another class", sum(|row| row.astray)),
    ];
    let dropped: Vec<String> = dropped
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| format!("{count} {why}"))
        .collect();
    if !dropped.is_empty() {
        ctx.note(&format!("{name}: dropped {}", dropped.join(", ")));
    }
    let unchanged = sum(|row| row.unchanged);
    if unchanged > 0 {
        ctx.warn(&format!("{name}: {unchanged} of {asked} texts could not be made"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSet, Example, Splits, Task};
    use crate::stages::augment::methods::testing::examples;
    use crate::stages::contract::stage::DataFact;
    use crate::stages::test_ctx::TestCtx;

    fn check(methods: &str) -> Result<Fact, Vec<CheckError>> {
        let json = format!(r#"{{"data": "data", "methods": {methods}}}"#);
        let augment: Augment =
            serde_json::from_str(&json).map_err(|e| vec![CheckError::new("", e.to_string())])?;
        augment.check(&[Fact::Data(DataFact {
            task: TaskKind::Classes,
            has_dev: true,
            has_test: false,
            augmented: false,
            unlabelled: false,
        })])
    }

    fn fields(methods: &str) -> Vec<String> {
        check(methods).err().unwrap_or_default().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn settings_are_checked_where_they_stand() {
        assert_eq!(fields("[]"), ["methods"]);
        assert_eq!(
            fields(
                r#"[{"random_insertion": {}}, {"random_insertion": {"rate": 1.5, "copies": 0}}]"#
            ),
            ["methods.1.random_insertion.rate", "methods.1.random_insertion.copies"]
        );
        assert_eq!(
            fields(concat!(
                r#"[{"random_insertion": {"rate": 0, "#,
                r#""synonyms": {"embeddings": {"neighbours": 0}}}}]"#
            )),
            [
                "methods.0.random_insertion.synonyms.embeddings.neighbours",
                "methods.0.random_insertion.rate"
            ]
        );
        assert_eq!(fields(r#"[{"random_insertion": {"rates": 0.1}}]"#), [""], "an unknown key");
    }

    #[test]
    fn the_result_is_known_to_be_augmented() {
        let expected = Fact::Data(DataFact {
            task: TaskKind::Classes,
            has_dev: true,
            has_test: false,
            augmented: true,
            unlabelled: false,
        });
        assert_eq!(check(r#"[{"random_insertion": {"copies": 2}}]"#), Ok(expected));
    }

    fn made(methods: &str, seed: u64) -> Result<Vec<Example>, Box<dyn std::error::Error>> {
        let augment: Augment =
            serde_json::from_str(&format!(r#"{{"data": "data", "methods": {methods}}}"#))?;
        let train = examples(&[
            ("where is my new card", 0),
            ("where is the nearest bank", 0),
            ("is my bank open", 0),
        ]);
        let splits = Splits { train, ..Splits::default() };
        let data = DataSet {
            task: Task::Classes { labels: vec!["a".into()] },
            splits,
            ..DataSet::default()
        };
        let mut inputs = Inputs::default();
        inputs.insert("data", Arc::new(data));
        let mut made = Inputs::default();
        let output =
            augment.run(&TestCtx::new(seed)?, &inputs).map_err(|error| error.to_string())?;
        made.insert("made", output);
        Ok(made.data("made").splits.train.clone())
    }

    /// Both the draws and the fit, also inside another method.
    #[test]
    fn a_seed_of_its_own_decides_all_that_is_random_in_a_method()
    -> Result<(), Box<dyn std::error::Error>> {
        for (with, without) in [
            (r#"{"random_swap": {"copies": 3, "seed": 7}}"#, r#"{"random_swap": {"copies": 3}}"#),
            (r#"{"random_swap": {"to": 9, "seed": 7}}"#, r#"{"random_swap": {"to": 9}}"#),
            (
                r#"{"hmm": {"copies": 3, "states": 3, "seed": 7}}"#,
                r#"{"hmm": {"copies": 3, "states": 3}}"#,
            ),
            (
                r#"{"chain": {"copies": 3, "seed": 7, "methods": [{"hmm": {"states": 3}}]}}"#,
                r#"{"chain": {"copies": 3, "methods": [{"hmm": {"states": 3}}]}}"#,
            ),
        ] {
            let texts = |methods: &str, seed| -> Result<Vec<String>, Box<dyn std::error::Error>> {
                Ok(made(&format!("[{methods}]"), seed)?
                    .into_iter()
                    .map(|example| example.text.to_string())
                    .collect())
            };
            assert_eq!(texts(with, 13)?, texts(with, 14)?, "{with}");
            assert_eq!(texts(with, 13)?, texts(without, 7)?, "{with}");
            assert_ne!(texts(without, 13)?, texts(without, 14)?, "{without}");
        }
        Ok(())
    }
}
