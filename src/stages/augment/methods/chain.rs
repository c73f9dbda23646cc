//! Methods one after the other.

use std::borrow::Cow;
use std::path::Path;

use crate::base::report::Report;
use crate::stages::augment::config::MethodConfig;
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, Originals, Request, externals_of, fit_all, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

settings! {
    /// Applies methods one after the other to each text; each method starts from the text of the
    /// one before.
    ///
    /// A method that cannot change a text passes it on. `copies`, `to` and `seed` are set here and
    /// not inside.
    pub struct Chain {
        /// The methods, the first to be applied first.
        pub methods: Vec<MethodConfig>,
    }
}

impl Chain {
    fn methods(&self) -> impl Iterator<Item = &dyn Method> {
        self.methods.iter().map(MethodConfig::method)
    }
}

impl Method for Chain {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        if self.methods.is_empty() {
            return vec![CheckError::new(
                "methods",
                "`methods` is empty; expected at least one method",
            )];
        }
        let mut errors = Vec::new();
        for (index, config) in self.methods.iter().enumerate() {
            let at = format!("methods.{index}");
            errors.extend(config.check_inside("chain", &at));
            if index > 0 && config.method().starts_anew() {
                let name = config.name();
                let message = format!(
                    "`{name}` makes texts of its own, so the work of the methods before it in a \
                     chain would be lost"
                );
                let error = CheckError::new(format!("{at}.{name}"), message);
                errors.push(error.hint("put it first, or use `mix`"));
            }
        }
        errors
    }

    fn starts_anew(&self) -> bool {
        self.methods.first().is_some_and(|config| config.method().starts_anew())
    }

    fn uses_runtime(&self) -> bool {
        self.methods().any(Method::uses_runtime)
    }

    fn externals(
        &self,
        folder: &Path,
        fetch: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        externals_of(self.methods(), folder, fetch)
    }

    fn fit(
        &self,
        ctx: &dyn Ctx,
        train: &Originals<'_>,
        seed: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Links(fit_all(self.methods(), ctx, train, seed)?)))
    }
}

struct Links(Vec<Box<dyn Generator>>);

impl Generator for Links {
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let mut made: Vec<Option<Generated>> = vec![None; requests.len()];
        for link in &self.0 {
            let links = link.generate(ctx, requests)?;
            for ((made, request), next) in made.iter_mut().zip(requests.iter_mut()).zip(links) {
                let Some(mut next) = next else { continue };
                request.text = Cow::Owned(next.text.clone());
                if let Some(before) = made.take() {
                    let parents =
                        before.parents.into_iter().filter(|id| !next.parents.contains(id));
                    next.parents =
                        parents.collect::<Vec<_>>().into_iter().chain(next.parents).collect();
                }
                *made = Some(next);
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::augment::methods::testing::copies;

    #[test]
    fn each_method_works_on_what_the_one_before_made() -> Result<(), Box<dyn std::error::Error>> {
        // All words except one go, then one mark comes. In the other order the mark could remain
        // alone.
        let method = concat!(
            r#"{"chain": {"methods": ["#,
            r#"{"random_deletion": {"rate": 1.0}}, {"aeda": {"rate": 0.01}}]}}"#
        );
        for made in copies(method, &[("one two three", 0)], 50)? {
            let made = made.ok_or("nothing was made")?;
            let words: Vec<&str> = made.text.split(' ').collect();
            assert!(words.len() == 2 && ["one", "two", "three"].contains(&words[1]), "{made:?}");
            assert!(made.parents.is_empty(), "the original alone");
        }
        Ok(())
    }

    #[test]
    fn a_method_that_can_do_nothing_leaves_the_text_to_the_next()
    -> Result<(), Box<dyn std::error::Error>> {
        let method = r#"{"chain": {"methods": [{"random_swap": {}}, {"aeda": {}}]}}"#;
        assert!(
            copies(method, &[("one", 0)], 1)?[0]
                .as_ref()
                .is_some_and(|made| made.text.ends_with(" one"))
        );
        // The parents of all steps are named.
        let method = r#"{"chain": {"methods": [{"coarse_graining": {}}, {"aeda": {}}]}}"#;
        let made = copies(method, &[("one", 0), ("two", 0), ("three", 1)], 1)?;
        assert_eq!(
            made[0].as_ref().map(|made| made.parents.as_slice()),
            Some(&["row-0".to_owned(), "row-1".to_owned()][..])
        );
        assert_eq!(
            copies(r#"{"chain": {"methods": [{"random_swap": {}}]}}"#, &[("one", 0)], 1)?,
            [None]
        );
        Ok(())
    }

    #[test]
    fn work_is_not_thrown_away() -> Result<(), serde_json::Error> {
        let chain =
            |methods: &str| serde_json::from_str::<Chain>(&format!(r#"{{"methods": {methods}}}"#));
        assert!(chain(r#"[{"markov": {}}, {"random_swap": {}}]"#)?.check().is_empty());
        let errors =
            chain(r#"[{"random_swap": {}}, {"hmm": {"mode": "sample"}}, {"hmm": {}}]"#)?.check();
        assert_eq!(
            errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(),
            ["methods.1.hmm"]
        );
        Ok(())
    }
}
