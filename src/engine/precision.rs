//! Lower precision: matrix products of half the width, all else in f32.

use std::collections::HashSet;

use super::fact::{DType, TensorFact};
use super::graph::{Graph, Node, Source, Value, Var};
use super::op::layout::Cast;
use super::op::{Op, Role};

/// The precision of training. Parameters, moments, softmax, LayerNorm, loss and reductions are
/// always f32.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    Fp32,
    /// Matrix products with operands rounded to 10 bits of mantissa, on GPUs that support it.
    Tf32,
    /// Matrix products in half precision. The loss is scaled, and steps whose gradients overflow
    /// are skipped.
    Fp16,
    /// Matrix products in bfloat16: the range of single precision with 7 bits of mantissa.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 4] =
        [Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16];

    /// Returns the name that pipeline files use.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Tf32 => "tf32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
        }
    }

    /// Returns the type of the products' operands where a graph says so; TF32 is a setting of the
    /// device.
    pub fn of_products(self) -> Option<DType> {
        match self {
            Precision::Fp32 | Precision::Tf32 => None,
            Precision::Fp16 => Some(DType::F16),
            Precision::Bf16 => Some(DType::BF16),
        }
    }

    /// Whether small gradients would be lost without scaling the loss.
    pub fn scales_loss(self) -> bool {
        self == Precision::Fp16
    }
}

/// How products of a lower type are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// By kernels of that type.
    Native,
    /// In f32 from operands that were rounded to that type, for execution providers without such
    /// kernels.
    Rounded,
}

/// Rewrites a graph so that its matrix products have operands and results of type `low`.
///
/// Casts stand around the products only: operators that move elements without computing with them
/// take what they are given, so that nothing is widened between two products that only a
/// transposition or a reshaping lies between, and each parameter is narrowed once.
pub fn lower(mut graph: Graph, low: DType, products: Products) -> Graph {
    let nodes = std::mem::take(&mut graph.nodes);
    let wanted = Wanted::of(&nodes, &graph);
    let mut lowered = Lowered { narrow: vec![None; graph.values.len()], graph, low, products };
    for index in 0..lowered.narrow.len() {
        let var = Var(index as u32);
        if wanted.narrow.contains(&var)
            && !matches!(lowered.graph.values[index].source, Source::Node)
        {
            lowered.narrow(var);
        }
    }
    for node in nodes {
        let output = node.outputs[0];
        match node.op.role() {
            Role::Multiplies => {
                let inputs: Vec<Option<Var>> =
                    node.inputs.iter().map(|input| input.map(|var| lowered.operand(var))).collect();
                lowered.product(node, inputs, wanted.wide.contains(&output));
            }
            Role::Moves => {
                if wanted.narrow.contains(&output) {
                    let mut inputs = node.inputs.clone();
                    inputs[0] = inputs[0].map(|var| lowered.narrow(var));
                    let result = lowered.value_like(output, low);
                    lowered.narrow[output.0 as usize] = Some(result);
                    lowered.graph.nodes.push(Node {
                        op: node.op.clone(),
                        inputs,
                        outputs: vec![result],
                    });
                }
                if wanted.wide.contains(&output) {
                    lowered.graph.nodes.push(node);
                }
            }
            Role::Computes => {
                let outputs = node.outputs.clone();
                lowered.graph.nodes.push(node);
                for output in outputs.into_iter().filter(|output| wanted.narrow.contains(output)) {
                    lowered.narrow(output);
                }
            }
        }
    }
    lowered.graph
}

/// In which width each tensor is read.
#[derive(Default)]
struct Wanted {
    wide: HashSet<Var>,
    narrow: HashSet<Var>,
}

impl Wanted {
    fn of(nodes: &[Node], graph: &Graph) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.wide.extend(graph.outputs.iter().map(|(_, var)| *var));
        for node in nodes.iter().rev() {
            let (wide, narrow) = (
                node.outputs.iter().any(|output| wanted.wide.contains(output)),
                node.outputs.iter().any(|output| wanted.narrow.contains(output)),
            );
            let mut inputs = node.inputs.iter().flatten().copied();
            match node.op.role() {
                Role::Multiplies if wide || narrow => wanted.narrow.extend(inputs),
                Role::Moves if wide || narrow => {
                    let moved = inputs.next();
                    wanted.wide.extend(moved.filter(|_| wide));
                    wanted.narrow.extend(moved.filter(|_| narrow));
                    wanted.wide.extend(inputs);
                }
                Role::Computes if wide || narrow => {
                    wanted.wide.extend(inputs);
                    // It is computed in f32, and narrowed from there.
                    wanted.wide.extend(&node.outputs);
                }
                Role::Multiplies | Role::Moves | Role::Computes => {}
            }
        }
        wanted
    }
}

struct Lowered {
    graph: Graph,
    low: DType,
    products: Products,
    /// The narrow form of each tensor of the graph before.
    narrow: Vec<Option<Var>>,
}

impl Lowered {
    /// Returns the narrow form of a tensor, cast from the wide one where there is no other.
    fn narrow(&mut self, var: Var) -> Var {
        if let Some(narrow) = self.narrow[var.0 as usize] {
            return narrow;
        }
        let narrow = self.cast(var, self.low);
        self.narrow[var.0 as usize] = Some(narrow);
        narrow
    }

    /// Returns what a product takes for a tensor.
    fn operand(&mut self, var: Var) -> Var {
        let narrow = self.narrow(var);
        match self.products {
            Products::Native => narrow,
            Products::Rounded => self.cast(narrow, DType::F32),
        }
    }

    fn product(&mut self, node: Node, inputs: Vec<Option<Var>>, is_wanted_wide: bool) {
        let output = node.outputs[0];
        let narrow = match self.products {
            Products::Native => {
                let result = self.value_like(output, self.low);
                self.graph.nodes.push(Node { op: node.op, inputs, outputs: vec![result] });
                result
            }
            Products::Rounded => {
                let exact = self.value_like(output, DType::F32);
                self.graph.nodes.push(Node { op: node.op, inputs, outputs: vec![exact] });
                self.cast(exact, self.low)
            }
        };
        self.narrow[output.0 as usize] = Some(narrow);
        if is_wanted_wide {
            let op = std::sync::Arc::new(Cast { to: DType::F32 });
            self.graph.nodes.push(Node { op, inputs: vec![Some(narrow)], outputs: vec![output] });
        }
    }

    fn cast(&mut self, var: Var, to: DType) -> Var {
        let result = self.value_like(var, to);
        let op: std::sync::Arc<dyn Op> = std::sync::Arc::new(Cast { to });
        self.graph.nodes.push(Node { op, inputs: vec![Some(var)], outputs: vec![result] });
        result
    }

    fn value_like(&mut self, var: Var, dtype: DType) -> Var {
        let shape = self.graph.fact(var).shape.clone();
        self.graph.values.push(Value { source: Source::Node, fact: TensorFact { dtype, shape } });
        Var(self.graph.values.len() as u32 - 1)
    }
}
