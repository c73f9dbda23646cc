//! The graph that models, losses and gradients are built in.

use std::fmt;
use std::sync::Arc;

use super::fact::{DType, Dim, ShapeError, TensorFact};
use super::op::{self, Op};

/// A tensor of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Var(pub(in crate::engine) u32);

/// Which operators a graph may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Operators of the ONNX standard only: runs on every execution provider, and is what gets
    /// exported.
    Standard,
    /// Also our own fused kernels (see [`crate::engine::kernel`]), which run on the CPU.
    Fused,
}

/// The name of twice the tokens of the longest text: a row for each distance of two of them.
pub const DISTANCES: &str = "2L";

/// A constant, stored with the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    F32(Vec<usize>, Vec<f32>),
    F64(Vec<usize>, Vec<f64>),
    I64(Vec<usize>, Vec<i64>),
    /// A truth value (rank 0).
    Bool(bool),
}

impl Constant {
    /// Returns a scalar (rank 0).
    pub fn scalar(value: f32) -> Constant {
        Constant::F32(Vec::new(), vec![value])
    }

    /// Returns a vector of integers.
    pub fn ints(values: &[i64]) -> Constant {
        Constant::I64(vec![values.len()], values.to_vec())
    }

    /// Returns the constant's type and shape.
    pub fn fact(&self) -> TensorFact {
        let (dtype, shape) = match self {
            Constant::F32(shape, _) => (DType::F32, shape),
            Constant::F64(shape, _) => (DType::F64, shape),
            Constant::I64(shape, _) => (DType::I64, shape),
            Constant::Bool(_) => (DType::Bool, &Vec::new()),
        };
        TensorFact { dtype, shape: shape.iter().map(|&size| Dim::Fixed(size)).collect() }
    }
}

/// What is known of a parameter beside its name and shape; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// It belongs to the head, which stands on the encoder.
    pub head: bool,
    /// It is the table of the words, a row per token id.
    pub word_table: bool,
    /// Weight decay spares it, unless everything decays.
    pub no_decay: bool,
    /// It is added to something, as the bias of a linear layer and the β of a norm are.
    pub bias: bool,
    /// It is no part of the network that is saved, but of an adapter that is merged into it.
    pub adapter: bool,
    /// The layer that it belongs to, counted from the bottom.
    pub layer: Option<usize>,
    /// The value that it has before any training.
    pub initial: Initial,
}

/// The value of a parameter before any training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initial {
    /// Drawn from a normal distribution.
    #[default]
    Normal,
    Zeros,
    Ones,
    /// Drawn evenly from −1/√n to 1/√n, where n is the size of the last axis (He et al. 2015 with
    /// a = √5, as PyTorch draws its linear layers).
    Uniform,
}

/// Where a tensor comes from.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Source {
    /// Given at each run.
    Input(String),
    /// A model parameter: also given at each run, by its Hugging Face name.
    Parameter(String, Marks),
    Constant(Constant),
    /// An output of a node: its index and the output's.
    Node,
}

/// An operator applied to tensors.
#[derive(Debug)]
pub(in crate::engine) struct Node {
    pub op: Arc<dyn Op>,
    /// `None` where an optional input is left out.
    pub inputs: Vec<Option<Var>>,
    pub outputs: Vec<Var>,
}

#[derive(Clone, Debug)]
pub(in crate::engine) struct Value {
    pub source: Source,
    pub fact: TensorFact,
}

/// A graph of operators, built once and then written as ONNX. Nodes stand in an order in which each
/// comes after its inputs.
pub struct Graph {
    pub(in crate::engine) values: Vec<Value>,
    pub(in crate::engine) nodes: Vec<Node>,
    pub(in crate::engine) outputs: Vec<(String, Var)>,
    kernels: Kernels,
    masks: Vec<DropoutSite>,
    pub(super) packing: Option<Packing>,
}

/// The inputs by which rows of tokens and places of texts belong together; see [`Graph::pack`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    /// `[T]`, the place of each row.
    pub tokens: Var,
    /// `[B·L]`, the row of each place.
    pub places: Var,
}

/// A place of dropout in a graph with standard operators: an input that takes the mask.
#[derive(Clone, Debug, PartialEq)]
pub struct DropoutSite {
    /// The number that keeps this place's random numbers apart from the others'.
    pub site: u32,
    pub rate: f32,
    /// The name of the input for the mask.
    pub input: String,
    pub shape: Vec<Dim>,
}

impl Graph {
    /// Returns an empty graph.
    pub fn new(kernels: Kernels) -> Graph {
        Graph {
            values: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            kernels,
            masks: Vec::new(),
            packing: None,
        }
    }

    /// Returns which operators this graph may use.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, fact: TensorFact) -> Var {
        self.value(Source::Input(name.to_owned()), fact)
    }

    /// Returns an input that was declared.
    pub(in crate::engine) fn known_input(&self, name: &str) -> Option<Var> {
        let is_it = |value: &Value| matches!(&value.source, Source::Input(known) if known == name);
        self.values.iter().position(is_it).map(|index| Var(index as u32))
    }

    /// Declares an f32 parameter.
    pub fn parameter(&mut self, name: &str, shape: &[usize], marks: Marks) -> Var {
        let shape = shape.iter().map(|&size| Dim::Fixed(size)).collect();
        self.value(Source::Parameter(name.to_owned(), marks), TensorFact::f32(shape))
    }

    /// Adds a constant.
    pub fn constant(&mut self, constant: Constant) -> Var {
        let fact = constant.fact();
        self.value(Source::Constant(constant), fact)
    }

    /// Counts a parameter to a layer, if it is of none or of a lower one.
    pub fn raise_layer(&mut self, parameter: Var, layer: Option<usize>) {
        if let Source::Parameter(_, marks) = &mut self.values[parameter.0 as usize].source {
            marks.layer = marks.layer.max(layer);
        }
    }

    /// Adds an f32 scalar.
    pub fn scalar(&mut self, value: f32) -> Var {
        self.constant(Constant::scalar(value))
    }

    /// Names a size that follows from others: the masks of dropout are made by it.
    pub fn name_size(&mut self, var: Var, axis: usize, name: &'static str) {
        if let Some(size) = self.values[var.0 as usize].fact.shape.get_mut(axis) {
            *size = Dim::Named(name);
        }
    }

    /// Names a tensor as an output.
    pub fn output(&mut self, name: &str, var: Var) {
        self.outputs.push((name.to_owned(), var));
    }

    /// Returns what is known of a tensor.
    pub fn fact(&self, var: Var) -> &TensorFact {
        &self.values[var.0 as usize].fact
    }

    /// Returns the sizes of a parameter, which are always known.
    pub fn known_shape(&self, parameter: Var) -> Vec<usize> {
        self.fact(parameter)
            .shape
            .iter()
            .map(|dim| if let Dim::Fixed(size) = dim { *size } else { 0 })
            .collect()
    }

    /// Applies an operator and returns its outputs.
    pub fn apply(&mut self, op: impl Op + 'static, inputs: &[Var]) -> Result<Vec<Var>, ShapeError> {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        self.apply_optional(op, &inputs)
    }

    /// Applies an operator with one output and returns it.
    pub fn apply1(&mut self, op: impl Op + 'static, inputs: &[Var]) -> Result<Var, ShapeError> {
        Ok(self.apply(op, inputs)?[0])
    }

    /// Applies an operator, of whose inputs some may be left out, and returns its outputs.
    pub fn apply_optional(
        &mut self,
        op: impl Op + 'static,
        inputs: &[Option<Var>],
    ) -> Result<Vec<Var>, ShapeError> {
        let name = op.name();
        if !op::LISTED.contains(&name) {
            return Err(ShapeError(format!(
                "operator `{name}` is not listed, so no test covers it"
            )));
        }
        let facts: Vec<Option<TensorFact>> =
            inputs.iter().map(|input| input.map(|var| self.fact(var).clone())).collect();
        let outputs = op.infer(&facts).map_err(|error| {
            let shapes: Vec<_> = facts
                .iter()
                .map(|fact| fact.as_ref().map_or("-".to_owned(), ToString::to_string))
                .collect();
            ShapeError(format!("{name}({}): {}", shapes.join(", "), error.0))
        })?;

        let outputs: Vec<Var> =
            outputs.into_iter().map(|fact| self.value(Source::Node, fact)).collect();
        self.nodes.push(Node {
            op: Arc::new(op),
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
        });
        Ok(outputs)
    }

    /// Declares the mask input of a place of dropout; see [`DropoutSite`].
    pub(in crate::engine) fn dropout_mask(&mut self, site: u32, rate: f32, shape: Vec<Dim>) -> Var {
        let input = format!("dropout_mask.{site}");
        let var = self.input(&input, TensorFact::f32(shape.clone()));
        self.masks.push(DropoutSite { site, rate, input, shape });
        var
    }

    /// Lists the places of dropout whose masks are inputs.
    pub fn dropout_sites(&self) -> &[DropoutSite] {
        &self.masks
    }

    /// Lists the operators of the standard with the types of their inputs and outputs.
    #[cfg(test)]
    pub(crate) fn applied(&self) -> impl Iterator<Item = (&'static str, Vec<DType>)> {
        self.nodes.iter().filter(|node| node.op.domain().is_empty()).map(|node| {
            let tensors = node.inputs.iter().flatten().chain(&node.outputs);
            (node.op.name(), tensors.map(|var| self.fact(*var).dtype).collect())
        })
    }

    /// Lists the parameters by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Var)> {
        self.values.iter().enumerate().filter_map(|(index, value)| match &value.source {
            Source::Parameter(name, _) => Some((name.as_str(), Var(index as u32))),
            _ => None,
        })
    }

    /// Returns the marks of a parameter; a name that the graph does not have has none.
    pub fn marks(&self, parameter: &str) -> Marks {
        self.marked()
            .find(|(name, _)| *name == parameter)
            .map(|(_, marks)| marks)
            .unwrap_or_default()
    }

    /// Returns the name of the parameter that is the table of the words.
    pub fn word_table(&self) -> Option<&str> {
        self.marked().find(|(_, marks)| marks.word_table).map(|(name, _)| name)
    }

    fn marked(&self) -> impl Iterator<Item = (&str, Marks)> {
        self.values.iter().filter_map(|value| match &value.source {
            Source::Parameter(name, marks) => Some((name.as_str(), *marks)),
            _ => None,
        })
    }

    fn value(&mut self, source: Source, fact: TensorFact) -> Var {
        self.values.push(Value { source, fact });
        Var(self.values.len() as u32 - 1)
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let facts = |vars: &mut dyn Iterator<Item = Option<Var>>| {
                vars.map(|var| {
                    var.map_or("-".to_owned(), |var| format!("%{}{}", var.0, self.fact(var)))
                })
                .collect::<Vec<_>>()
                .join(", ")
            };
            let outputs = facts(&mut node.outputs.iter().copied().map(Some));
            let inputs = facts(&mut node.inputs.iter().copied());
            writeln!(f, "{outputs} = {}({inputs})", node.op.name())?;
        }
        Ok(())
    }
}
