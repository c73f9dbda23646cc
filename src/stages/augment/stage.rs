//! The work of `augment`: runs the methods over train and keeps the parents' ids.

use std::path::Path;

use super::config::Augment;
use super::growth::Growth;
use crate::base::report::{Progress, Report};
use crate::stages::artifact::Artifact;
use crate::stages::stage::{
    CheckError, Ctx, External, Fact, Inputs, Interrupted, Kind, Port, Stage, StageError,
};

impl Stage for Augment {
    fn code_version(&self) -> u32 {
        2
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        vec![Port { field: "data", stage: &self.data, expects: Kind::Data }]
    }

    fn check(&self, inputs: &[Fact]) -> Result<Fact, Vec<CheckError>> {
        let mut errors = Vec::new();
        if self.methods.is_empty() {
            errors.push(
                CheckError::new("methods", "`methods` is empty; expected at least one method")
                    .hint("for example `- random_insertion: { rate: 0.1, copies: 2 }`"),
            );
        }
        for (index, config) in self.methods.iter().enumerate() {
            errors.extend(config.method().check().into_iter().map(|error| CheckError {
                field: format!("methods.{index}.{}.{}", config.name(), error.field),
                ..error
            }));
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
            // The plan reports an input of the wrong kind itself.
            _ => return Err(Vec::new()),
        })
    }

    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        let mut externals = Vec::new();
        for config in &self.methods {
            externals.extend(config.method().externals(folder, fetch)?);
        }
        Ok(externals)
    }

    fn uses_seed(&self) -> bool {
        true
    }

    fn uses_runtime(&self) -> bool {
        false
    }

    fn run(&self, ctx: &dyn Ctx, inputs: &Inputs) -> Result<Artifact, StageError> {
        let original = inputs.data("data");
        let mut growth = Growth::of(original, ctx.seed());
        let mut made = Vec::new();
        for config in &self.methods {
            if ctx.interrupted() {
                return Err(Box::new(Interrupted));
            }
            let method = config.method();
            let settings = serde_json::to_string(config)
                .map_err(|error| CheckError::new("methods", error.to_string()))?;
            let generator = method.fit(ctx, growth.originals())?;
            made.extend(growth.grow(config.name(), &settings, method.copies(), &*generator));
            ctx.progress(&Progress {
                activity: "augmenting",
                done: made.len() as u64,
                total: None,
                unit: "texts",
                detail: config.name(),
            });
        }
        ctx.note(&format!("{} texts made from {}", made.len(), growth.originals().len()));
        if growth.leaks() > 0 {
            ctx.note(&format!("made texts dropped because dev or test has them: {}", growth.leaks()));
        }
        if growth.repeats() > 0 {
            ctx.note(&format!("made texts dropped because train has them: {}", growth.repeats()));
        }
        if growth.unchanged() > 0 {
            ctx.warn(&format!(
                "texts that could not be made, because the method found nothing to change: {}",
                growth.unchanged()
            ));
        }
        let mut data = original.clone();
        data.train.extend(made);
        Ok(Artifact::Data(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::stage::DataFact;

    fn check(methods: &str) -> Result<Fact, Vec<CheckError>> {
        let json = format!(r#"{{"data": "data", "methods": {methods}}}"#);
        let augment: Augment =
            serde_json::from_str(&json).map_err(|e| vec![CheckError::new("", e.to_string())])?;
        augment.check(&[Fact::Data(DataFact { has_dev: true, has_test: false, augmented: false })])
    }

    fn fields(methods: &str) -> Vec<String> {
        check(methods).err().unwrap_or_default().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn settings_are_checked_where_they_stand() {
        assert_eq!(fields("[]"), ["methods"]);
        assert_eq!(
            fields(r#"[{"random_insertion": {}}, {"random_insertion": {"rate": 1.5, "copies": 0}}]"#),
            ["methods.1.random_insertion.rate", "methods.1.random_insertion.copies"]
        );
        assert_eq!(
            fields(r#"[{"random_insertion": {"rate": 0, "synonyms": {"embeddings": {"neighbours": 0}}}}]"#),
            ["methods.0.random_insertion.synonyms.embeddings.neighbours", "methods.0.random_insertion.rate"]
        );
        assert_eq!(fields(r#"[{"random_insertion": {"rates": 0.1}}]"#), [""], "an unknown key");
    }

    #[test]
    fn the_result_is_known_to_be_augmented() {
        let expected = Fact::Data(DataFact { has_dev: true, has_test: false, augmented: true });
        assert_eq!(check(r#"[{"random_insertion": {"copies": 2}}]"#), Ok(expected));
    }
}
