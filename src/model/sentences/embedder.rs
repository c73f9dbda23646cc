//! From the token states of a text to its vector, and the form of a head over it.
//!
//! Dimensions: `B` texts of a batch, `E` width of a text's vector.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::head::{Head, Pooling};

/// What gives a text's vector `[B, E]`: poolings one beside the other, then steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedder {
    /// At least one.
    pub poolings: Vec<Pooling>,
    pub steps: Vec<Step>,
}

/// What is done to a pooled vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Dense(Dense),
    /// x / ‖x‖.
    Normalize,
}

/// A dense layer over the pooled vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dense {
    /// The folder of its files, with which the names of its parameters begin: `2_Dense`.
    pub module: String,
    pub inputs: usize,
    pub outputs: usize,
    pub has_bias: bool,
    pub activation: DenseActivation,
}

/// The activation of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseActivation {
    Identity,
    Tanh,
    Relu,
    Gelu,
}

/// What gives the logits.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadForm {
    /// The architecture's own head.
    Own,
    /// Dropout and a linear layer over the vector.
    Linear(Embedder),
    /// The classes of the train texts whose vectors are nearest.
    Nearest(Embedder, Nearest),
}

/// How the nearest of the texts that a head keeps are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nearest {
    /// N, the texts that are kept.
    pub texts: usize,
    /// How many of them count for a text.
    pub k: usize,
}

impl Embedder {
    /// Returns an embedder that only pools.
    pub fn of(pooling: Pooling) -> Embedder {
        Embedder { poolings: vec![pooling], steps: Vec::new() }
    }

    /// Returns the same with vectors of length 1.
    pub fn normalised(mut self) -> Embedder {
        if self.steps.last() != Some(&Step::Normalize) {
            self.steps.push(Step::Normalize);
        }
        self
    }

    /// Returns the same with vectors of the length that they have before they are scaled.
    pub fn of_any_length(mut self) -> Embedder {
        if self.steps.last() == Some(&Step::Normalize) {
            self.steps.pop();
        }
        self
    }

    /// Returns the setting that names it, where it only pools in one way.
    pub fn head(&self) -> Option<Head> {
        match (self.poolings.as_slice(), self.steps.is_empty()) {
            ([pooling], true) => Some(pooling.head()),
            _ => None,
        }
    }

    /// Returns E, the width of the vector, over states of a width.
    pub fn width(&self, hidden: usize) -> usize {
        let last = self.dense().last();
        last.map_or(self.poolings.len() * hidden, |dense| dense.outputs)
    }

    /// Lists the dense layers, lowest first.
    pub fn dense(&self) -> impl Iterator<Item = &Dense> {
        self.steps.iter().filter_map(|step| match step {
            Step::Dense(dense) => Some(dense),
            Step::Normalize => None,
        })
    }
}

impl fmt::Display for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.poolings.iter().map(|pooling| pooling.head().name()).collect();
        f.write_str(&names.join(" + "))?;
        for step in &self.steps {
            match step {
                Step::Dense(dense) => write!(f, ", {dense}")?,
                Step::Normalize => f.write_str(", normalised")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dense {} to {}", self.inputs, self.outputs)?;
        match self.activation {
            DenseActivation::Identity => Ok(()),
            DenseActivation::Tanh => f.write_str(" with tanh"),
            DenseActivation::Relu => f.write_str(" with ReLU"),
            DenseActivation::Gelu => f.write_str(" with GELU"),
        }
    }
}

impl Dense {
    /// Returns the names and shapes of its parameters.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = vec![(self.weight(), vec![self.outputs, self.inputs])];
        if self.has_bias {
            parameters.push((format!("{}.bias", self.linear()), vec![self.outputs]));
        }
        parameters
    }

    /// Returns the module of the linear layer: `2_Dense.linear`.
    pub(in crate::model) fn linear(&self) -> String {
        format!("{}.linear", self.module)
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.linear())
    }
}

impl HeadForm {
    /// Returns the setting that gives this form.
    pub fn head(&self) -> Head {
        match self {
            HeadForm::Own => Head::Auto,
            HeadForm::Linear(embedder) | HeadForm::Nearest(embedder, _) => {
                embedder.head().unwrap_or(Head::Auto)
            }
        }
    }

    /// Returns what makes the vectors that it reads; `None` for the architecture's own.
    pub fn embedder(&self) -> Option<&Embedder> {
        match self {
            HeadForm::Own => None,
            HeadForm::Linear(embedder) | HeadForm::Nearest(embedder, _) => Some(embedder),
        }
    }
}

/// The form that a setting gives in a folder that says nothing.
impl From<Head> for HeadForm {
    fn from(head: Head) -> HeadForm {
        head.pooling().map_or(HeadForm::Own, |pooling| HeadForm::Linear(Embedder::of(pooling)))
    }
}

impl From<&HeadForm> for HeadForm {
    fn from(form: &HeadForm) -> HeadForm {
        form.clone()
    }
}
