//! One of several methods for each text.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::stages::augment::config::MethodConfig;
use crate::stages::augment::language::weighted::{cumulative, draw};
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, Originals, Request, externals_of, fit_all, settings,
};
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

settings! {
    /// Makes each copy with one of several methods, drawn by their weights.
    ///
    /// `copies`, `to` and `seed` are set here and not inside.
    pub struct Mix {
        /// The methods with their weights.
        pub methods: Vec<Weighted>,
    }
}

/// A method with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// The weight of the method relative to the others, above 0.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// The method.
    pub method: MethodConfig,
}

fn default_weight() -> f64 {
    1.0
}

impl Mix {
    fn methods(&self) -> impl Iterator<Item = &dyn Method> {
        self.methods.iter().map(|weighted| weighted.method.method())
    }
}

impl Method for Mix {
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
        for (index, Weighted { weight, method }) in self.methods.iter().enumerate() {
            if !(*weight > 0.0 && weight.is_finite()) {
                let message = format!("`weight` is {weight}; expected a number above 0");
                errors.push(CheckError::new(format!("methods.{index}.weight"), message));
            }
            errors.extend(method.check_inside("mix", &format!("methods.{index}.method")));
        }
        errors
    }

    fn starts_anew(&self) -> bool {
        self.methods().any(Method::starts_anew)
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
        let generators = fit_all(self.methods(), ctx, train, seed)?;
        let weights = cumulative(self.methods.iter().map(|weighted| weighted.weight));
        Ok(Box::new(Choice { generators, weights }))
    }
}

struct Choice {
    generators: Vec<Box<dyn Generator>>,
    weights: Vec<f64>,
}

impl Generator for Choice {
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let chosen: Vec<usize> =
            requests.iter_mut().map(|request| draw(&self.weights, &mut request.random())).collect();
        let mut made: Vec<Option<Generated>> = vec![None; requests.len()];
        for (index, generator) in self.generators.iter().enumerate() {
            let mut places = Vec::new();
            let mut own: Vec<&mut Request<'_>> = Vec::new();
            for (place, request) in
                requests.iter_mut().enumerate().filter(|(place, _)| chosen[*place] == index)
            {
                places.push(place);
                own.push(request);
            }
            for (place, text) in places.into_iter().zip(generator.generate(ctx, &mut own)?) {
                made[place] = text;
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use crate::stages::augment::methods::testing::copies;

    #[test]
    fn methods_come_up_by_their_weights() -> Result<(), Box<dyn std::error::Error>> {
        let method = concat!(
            r#"{"mix": {"methods": [{"weight": 3, "method": {"aeda": {}}}, "#,
            r#"{"method": {"random_deletion": {"rate": 1.0}}}]}}"#
        );
        let made = copies(method, &[("one two", 0)], 1000)?;
        let longer = made.iter().flatten().filter(|made| made.text.split(' ').count() > 2).count();
        assert_eq!(made.iter().flatten().count(), 1000);
        // Four deviations of a binomial.
        assert!((longer as f64 - 750.0).abs() < 55.0, "{longer}");
        Ok(())
    }
}
