//! Methods one after the other.

use std::borrow::Cow;
use std::path::Path;

use crate::base::report::Report;
use crate::stages::augment::config::{MethodConfig, check_inside};
use crate::stages::augment::method::{Amount, Generated, Generator, Method, Originals, Request, settings};
use crate::stages::stage::{CheckError, Ctx, External, StageError};

settings! {
    /// Applies methods one after the other to each text: what one makes is the next one's start.
    ///
    /// A method that cannot change a text leaves it to the next. Copies, `to` and seed are said here and not inside.
    pub struct Chain {
        /// The methods, the first to be applied first.
        pub methods: Vec<MethodConfig>,
    }
}

impl Method for Chain {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        if self.methods.is_empty() {
            return vec![CheckError::new("methods", "`methods` is empty; expected at least one method")];
        }
        check_inside(&self.methods, "methods", "chain")
    }

    fn uses_runtime(&self) -> bool {
        self.methods.iter().any(|config| config.method().uses_runtime())
    }

    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        let externals: Result<Vec<_>, _> =
            self.methods.iter().map(|config| config.method().externals(folder, fetch)).collect();
        Ok(externals?.concat())
    }

    fn fit(&self, ctx: &dyn Ctx, train: &Originals<'_>) -> Result<Box<dyn Generator>, StageError> {
        let fitted: Result<Vec<_>, _> =
            self.methods.iter().map(|config| config.method().fit(ctx, train)).collect();
        Ok(Box::new(Links(fitted?)))
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
                    let parents = before.parents.into_iter().filter(|id| !next.parents.contains(id));
                    next.parents = parents.collect::<Vec<_>>().into_iter().chain(next.parents).collect();
                }
                *made = Some(next);
            }
        }
        Ok(made)
    }
}
