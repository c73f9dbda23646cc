//! The fields of config.json, by name and with their bounds.

use std::path::Path;

use serde_json::Value;

use super::builder::Activation;
use crate::model::error::ModelError;

/// The largest size that a field may have: products of two still fit everywhere.
const LARGEST: u64 = 1 << 24;

/// A config.json that is being read.
pub struct Fields<'a> {
    pub raw: &'a Value,
    /// The file, for messages.
    pub path: &'a Path,
    /// The architectures that are supported, for messages.
    pub supported: &'a str,
}

impl Fields<'_> {
    /// `null` counts as absent, as in `transformers`.
    fn get(&self, name: &str) -> Option<&Value> {
        self.raw.get(name).filter(|value| !value.is_null())
    }

    /// Returns the error of a field that has another value than what is expected.
    pub fn wrong(&self, field: &str, expected: &str) -> ModelError {
        ModelError::Field {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: self.raw.get(field).unwrap_or(&Value::Null).to_string(),
        }
    }

    /// Returns the error of a field that is not there.
    pub fn missing(&self, field: &str, expected: &str) -> ModelError {
        ModelError::NoField {
            path: self.path.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            supported: self.supported.to_owned(),
        }
    }

    /// Returns a string, where there is one.
    pub fn text(&self, name: &str) -> Result<Option<String>, ModelError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// Returns a whole number from 1, which must be there.
    pub fn size(&self, name: &str) -> Result<usize, ModelError> {
        let expected = format!("a whole number from 1 to {LARGEST}");
        match self.get(name) {
            None => Err(self.missing(name, &expected)),
            Some(value) => value
                .as_u64()
                .filter(|size| (1..=LARGEST).contains(size))
                .map(|size| size as usize)
                .ok_or_else(|| self.wrong(name, &expected)),
        }
    }

    /// Returns a whole number from 0.
    pub fn count(&self, name: &str, default: usize) -> Result<usize, ModelError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .filter(|count| *count <= LARGEST)
                .map(|count| count as usize)
                .ok_or_else(|| self.wrong(name, &format!("a whole number from 0 to {LARGEST}"))),
        }
    }

    /// Returns a number from 0 to less than 1, such as a rate of dropout.
    pub fn share(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number from 0 to less than 1", |value| {
            (0.0..1.0).contains(&value)
        })
    }

    /// Returns a number greater than 0.
    pub fn positive(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number greater than 0", |value| value > 0.0)
    }

    fn number(
        &self,
        name: &str,
        default: f32,
        expected: &str,
        fits: impl Fn(f32) -> bool,
    ) -> Result<f32, ModelError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .map(|value| value as f32)
                .filter(|value| value.is_finite() && fits(*value))
                .ok_or_else(|| self.wrong(name, expected)),
        }
    }

    /// Returns an activation; the exact GELU where none is named.
    pub fn activation(&self, name: &str) -> Result<Activation, ModelError> {
        match self.text(name)?.as_deref() {
            None | Some("gelu" | "gelu_python") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some(_) => Err(self.wrong(name, "`gelu`, `gelu_new`, `gelu_pytorch_tanh` or `relu`")),
        }
    }

    /// Refuses variants that have the same parameters and compute something else.
    pub fn refuse_variants(&self) -> Result<(), ModelError> {
        if !matches!(self.text("position_embedding_type")?.as_deref(), None | Some("absolute")) {
            return Err(self.wrong("position_embedding_type", "`absolute`"));
        }
        for name in ["is_decoder", "add_cross_attention", "is_encoder_decoder"] {
            if self.get(name) == Some(&Value::Bool(true)) {
                return Err(self.wrong(name, "`false`"));
            }
        }
        Ok(())
    }
}
