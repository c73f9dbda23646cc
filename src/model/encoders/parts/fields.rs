//! The fields of config.json, by name and with their bounds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::builder::Activation;
use crate::model::error::ModelError;

/// The largest size that a field may have: products of two still fit everywhere.
const LARGEST: u64 = 1 << 24;

/// A config.json that is being read.
pub struct Fields<'a> {
    raw: &'a Value,
    /// The file, for messages.
    path: &'a Path,
    /// The architectures that are supported, for messages.
    supported: &'a str,
    /// The fields that were asked for and are there.
    found: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// Takes a config.json with its path and the architectures that are supported, for messages.
    pub fn new(raw: &'a Value, path: &'a Path, supported: &'a str) -> Fields<'a> {
        Fields { raw, path, supported, found: RefCell::default() }
    }
}

impl Fields<'_> {
    /// Returns a field, if it is there; `null` counts as absent, as in `transformers`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let value = self.raw.get(name).filter(|value| !value.is_null())?;
        self.found.borrow_mut().insert(name.to_owned());
        Some(value)
    }

    /// Returns how many fields were asked for so far, other than the name of the architecture.
    pub fn asked(&self) -> usize {
        self.found.borrow().iter().filter(|name| *name != "model_type").count()
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

    /// Returns the base of rotations from an object of `rope_parameters`, if it names one; refuses
    /// other forms of rotation than the plain one.
    pub fn theta(&self, of: Option<&Value>) -> Result<Option<f32>, ModelError> {
        const NAME: &str = "rope_parameters";
        let scaled = |of: &Value| {
            let form = of.get("rope_type").or(of.get("type")).and_then(Value::as_str);
            form.is_some_and(|form| form != "default")
        };
        // Older files have the form by itself.
        if self.get("rope_scaling").is_some_and(scaled) {
            return Err(self.wrong("rope_scaling", "`null`"));
        }
        let Some(of) = of else { return Ok(None) };
        if scaled(of) {
            return Err(self.wrong(NAME, "`rope_type: default`"));
        }
        let Some(theta) = of.get("rope_theta") else { return Ok(None) };
        let theta = theta.as_f64().filter(|theta| *theta > 0.0).map(|theta| theta as f32);
        theta.map(Some).ok_or_else(|| self.wrong(NAME, "`rope_theta` greater than 0"))
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

    /// Returns a whole number that must be positive to count; −1 and 0 stand for none.
    pub fn positive_count(&self, name: &str) -> Result<Option<usize>, ModelError> {
        match self.get(name).map(|value| value.as_i64()) {
            None => Ok(None),
            Some(Some(count)) if (-1..=LARGEST as i64).contains(&count) => {
                Ok((count > 0).then_some(count as usize))
            }
            Some(_) => Err(self.wrong(name, &format!("a whole number from -1 to {LARGEST}"))),
        }
    }

    /// Returns a switch.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(name, "`true` or `false`")),
        }
    }

    /// Returns words in lower case, which are a list or one string with `|` between them.
    pub fn words(&self, name: &str) -> Result<Vec<String>, ModelError> {
        let split = |text: &str| {
            let words = text.split('|').map(|word| word.trim().to_lowercase());
            words.filter(|word| !word.is_empty()).collect()
        };
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(split(text)),
            Some(Value::Array(words)) => words
                .iter()
                .map(|word| Some(word.as_str()?.to_lowercase()))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(name, "words")),
            Some(_) => Err(self.wrong(name, "words")),
        }
    }

    /// Returns a number from 0 to less than 1, such as a rate of dropout.
    pub fn share(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number from 0 to less than 1", |value| {
            (0.0..1.0).contains(&value)
        })
    }

    /// Returns a number from 0 to 1.
    pub fn share_or_one(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        self.number(name, default, "a number from 0 to 1", |value| (0.0..=1.0).contains(&value))
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
            Some("tanh") => Ok(Activation::Tanh),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some(_) => Err(self
                .wrong(name, "`gelu`, `gelu_new`, `gelu_pytorch_tanh`, `relu`, `tanh` or `silu`")),
        }
    }

    /// Refuses variants that have the same parameters and compute something else.
    pub fn refuse_variants(&self) -> Result<(), ModelError> {
        self.refuse_decoders()?;
        if !matches!(self.text("position_embedding_type")?.as_deref(), None | Some("absolute")) {
            return Err(self.wrong("position_embedding_type", "`absolute`"));
        }
        Ok(())
    }

    /// Refuses models that read from left to right.
    pub fn refuse_decoders(&self) -> Result<(), ModelError> {
        for name in ["is_decoder", "add_cross_attention", "is_encoder_decoder"] {
            if self.get(name) == Some(&Value::Bool(true)) {
                return Err(self.wrong(name, "`false`"));
            }
        }
        Ok(())
    }
}
