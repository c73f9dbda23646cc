//! Writing graphs as ONNX models.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::proto::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::engine::graph::fact::{DType, Dim, TensorFact};
use crate::engine::graph::graph::{Constant, Graph, Source, Var};
use crate::engine::graph::op::contract::{AttributeValue, DOMAIN};

/// The IR version that we write; ONNX Runtime 1.19 and later read it.
const IR_VERSION: i64 = 9;
/// The version of the standard operator set that we write; it has `Gelu`.
const OPSET: i64 = 20;

/// Writes a graph as an ONNX model. Parameters become inputs, named as they are.
pub fn write(graph: &Graph) -> Vec<u8> {
    model(graph, |_| None).encode_to_vec()
}

/// Where a parameter's values lie: little-endian f32 in a file beside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    pub file: String,
    pub offset: u64,
    pub length: u64,
}

/// Writes a graph as an ONNX model; the parameters for which `weights` has a place become
/// initializers that are read from there.
pub fn write_with(graph: &Graph, weights: impl Fn(&str) -> Option<External>) -> Vec<u8> {
    model(graph, weights).encode_to_vec()
}

/// Returns the message that [`write_with`] writes.
pub(in crate::engine) fn model(
    graph: &Graph,
    weights: impl Fn(&str) -> Option<External>,
) -> ModelProto {
    let needed = needed(graph);
    // A node writes an output under its final name; where that is taken or no node gives the
    // tensor, a copy is added below.
    let mut final_names: HashMap<Var, &str> = HashMap::new();
    for (output, var) in &graph.outputs {
        if matches!(graph.values[var.0 as usize].source, Source::Node) {
            final_names.entry(*var).or_insert(output);
        }
    }
    let name = |var: Var| match &graph.values[var.0 as usize].source {
        Source::Input(name) | Source::Parameter(name, _) => name.clone(),
        Source::Constant(_) => format!("c{}", var.0),
        Source::Node => {
            final_names.get(&var).map_or_else(|| format!("v{}", var.0), ToString::to_string)
        }
    };
    let mut model = GraphProto { name: "pipe".into(), ..GraphProto::default() };
    for (index, value) in graph.values.iter().enumerate() {
        let var = Var(index as u32);
        if !needed.contains(&var) {
            continue;
        }
        match &value.source {
            Source::Constant(constant) => model.initializer.push(tensor(name(var), constant)),
            Source::Parameter(parameter, _) => match weights(parameter) {
                Some(place) => {
                    model.initializer.push(external_tensor(parameter.clone(), &value.fact, &place))
                }
                None => model.input.push(value_info(parameter.clone(), &value.fact)),
            },
            Source::Input(input) => model.input.push(value_info(input.clone(), &value.fact)),
            Source::Node => {}
        }
    }
    let mut own_domain = false;
    for (index, node) in graph.nodes.iter().enumerate() {
        if !node.outputs.iter().any(|output| needed.contains(output)) {
            continue;
        }
        let mut inputs: Vec<String> =
            node.inputs.iter().map(|input| input.map(name).unwrap_or_default()).collect();
        for (position, constant) in node.op.constants().iter().enumerate() {
            let constant_name = format!("k{index}_{position}");
            model.initializer.push(tensor(constant_name.clone(), constant));
            inputs.push(constant_name);
        }
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        let domain = node.op.domain();
        own_domain |= domain == DOMAIN;
        model.node.push(NodeProto {
            input: inputs,
            output: node
                .outputs
                .iter()
                .enumerate()
                .map(|(place, &output)| {
                    // The standard's operators may leave out any output but the first.
                    if place == 0 || needed.contains(&output) || domain == DOMAIN {
                        name(output)
                    } else {
                        String::new()
                    }
                })
                .collect(),
            name: format!("n{index}"),
            op_type: node.op.name().to_owned(),
            attribute: node.op.attributes().into_iter().map(attribute).collect(),
            domain: domain.to_owned(),
        });
    }
    for (output_name, var) in &graph.outputs {
        if final_names.get(var) != Some(&output_name.as_str()) {
            model.node.push(NodeProto {
                input: vec![name(*var)],
                output: vec![output_name.clone()],
                name: format!("output_{output_name}"),
                op_type: "Identity".into(),
                ..NodeProto::default()
            });
        }
        model.output.push(value_info(output_name.clone(), graph.fact(*var)));
    }
    let mut opset_import = vec![standard()];
    if own_domain {
        opset_import.push(OperatorSetIdProto { domain: DOMAIN.into(), version: 1 });
    }
    ModelProto { graph: Some(model), opset_import, ..blank() }
}

/// Returns a model that says only what wrote it.
pub(in crate::engine) fn blank() -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "pipe".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        ..ModelProto::default()
    }
}

/// Returns the import of the standard's operators.
pub(in crate::engine) fn standard() -> OperatorSetIdProto {
    OperatorSetIdProto { domain: String::new(), version: OPSET }
}

/// Returns the tensors that the outputs depend on.
fn needed(graph: &Graph) -> HashSet<Var> {
    let mut needed: HashSet<Var> = graph.outputs.iter().map(|(_, var)| *var).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|output| needed.contains(output)) {
            needed.extend(node.inputs.iter().flatten());
        }
    }
    needed
}

pub(in crate::engine) fn tensor(name: String, constant: &Constant) -> TensorProto {
    match constant {
        Constant::F32(shape, data) => {
            let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            raw_tensor(name, shape, DType::F32, bytes)
        }
        Constant::Bool(value) => TensorProto {
            data_type: 9,
            name,
            raw_data: vec![u8::from(*value)],
            ..TensorProto::default()
        },
        Constant::F64(shape, data) => {
            let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            raw_tensor(name, shape, DType::F64, bytes)
        }
        Constant::I64(shape, data) => {
            let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            raw_tensor(name, shape, DType::I64, bytes)
        }
    }
}

fn raw_tensor(name: String, shape: &[usize], dtype: DType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: dtype.onnx(),
        name,
        raw_data,
        ..TensorProto::default()
    }
}

fn external_tensor(name: String, fact: &TensorFact, place: &External) -> TensorProto {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
    TensorProto {
        dims: fact
            .shape
            .iter()
            .map(|dim| if let Dim::Fixed(size) = dim { *size as i64 } else { 0 })
            .collect(),
        data_type: fact.dtype.onnx(),
        name,
        raw_data: Vec::new(),
        external_data: vec![
            entry("location", place.file.clone()),
            entry("offset", place.offset.to_string()),
            entry("length", place.length.to_string()),
        ],
        data_location: 1,
    }
}

pub(in crate::engine) fn value_info(name: String, fact: &TensorFact) -> ValueInfoProto {
    let dim = fact
        .shape
        .iter()
        .map(|dim| DimensionProto {
            value: Some(match dim {
                Dim::Fixed(size) => DimensionValue::DimValue(*size as i64),
                Dim::Named(name) => DimensionValue::DimParam((*name).to_owned()),
                Dim::Unknown => return DimensionProto { value: None },
            }),
        })
        .collect();
    let tensor =
        TensorTypeProto { elem_type: fact.dtype.onnx(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name,
        r#type: Some(TypeProto { tensor_type: Some(tensor), sequence_type: None }),
    }
}

pub(in crate::engine) fn attribute(
    (name, value): (&'static str, AttributeValue),
) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        AttributeValue::Float(value) => (proto.f, proto.r#type) = (value, 1),
        AttributeValue::Int(value) => (proto.i, proto.r#type) = (value, 2),
        AttributeValue::Text(value) => (proto.s, proto.r#type) = (value.as_bytes().to_vec(), 3),
        AttributeValue::Ints(value) => (proto.ints, proto.r#type) = (value, 7),
    }
    proto
}

/// Lists the operators of a written model.
#[cfg(test)]
pub fn operators(model: &[u8]) -> Vec<String> {
    let model = ModelProto::decode(model).expect("what was written can be read");
    model.graph.into_iter().flat_map(|graph| graph.node).map(|node| node.op_type).collect()
}
