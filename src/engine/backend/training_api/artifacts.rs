//! The files that ONNX Runtime's training API trains from: three models and a checkpoint.
//!
//! The training model takes the user's inputs, the parameters, a buffer for each trained
//! parameter's gradient and a flag that empties the buffers; the evaluation model takes the same
//! inputs and parameters; the optimizer model takes sequences of all trained parameters.

use super::error::ArtifactsError;
use std::path::Path;

use ndarray::ArrayD;
use prost::Message;
use rand::Rng;

use super::checkpoint::{CheckpointFile, MOMENTS};
use crate::base::files::AtomicFiles;
use crate::base::seed::stream;
use crate::engine::backend::binding::Feed;
use crate::engine::backend::error::EngineError;
use crate::engine::backend::gradients::differentiate;
use crate::engine::graph::fact::{DType, Dim, ShapeError, TensorFact};
use crate::engine::graph::graph::{Constant, DropoutSite, Graph, Var};
use crate::engine::graph::op::contract::{AttributeValue, DOMAIN};
use crate::engine::graph::optimizer::{
    GRADIENT_NORM, OptimizerConfig, ParameterGroup, clip_scale, global_norm,
};
use crate::engine::onnx::proto::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, SequenceTypeProto, TypeProto, ValueInfoProto,
};
use crate::engine::onnx::{self, wire};

/// The names that `generate_artifacts` gives the files, and so do we.
pub const TRAINING: &str = "training_model.onnx";
pub const EVALUATION: &str = "eval_model.onnx";
pub const OPTIMIZER: &str = "optimizer_model.onnx";
pub const CHECKPOINT: &str = "checkpoint";

/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";
/// The flag that empties the gradients' buffers.
const RESET: &str = "lazy_reset_grad";
const BUFFER: &str = "_grad.accumulation.buffer";
/// The input i64 `[1]` that is 1 with the last part of a step.
pub const LAST_PART: &str = "last_part";
/// An initializer that is true.
const ALWAYS: &str = "always";
/// Why an optimizer does not fit: the training API has one parameter group.
pub(super) const MANY_GROUPS: &str =
    "its parameters have more than one learning rate or weight decay";
/// The evaluation model's first outputs, where we write it.
pub const LOSS: &str = "loss";
pub const LOGITS: &str = "logits";

/// Where gradients are clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clipping {
    /// In the optimizer model, by ONNX Runtime's own operator: any program can train from these. It
    /// adds up the parameters' norms in the order of a hash table, which differs between processes,
    /// and so do the last bits.
    InOptimizer,
    /// In the training model with the last part of a step (an input [`LAST_PART`] says which it is,
    /// where there are several), in a fixed order. The output [`GRADIENT_NORM`] holds the norm
    /// before clipping.
    InTraining { parts: u32 },
}

/// Everything that the training API trains from.
#[derive(Clone, Debug)]
pub struct Artifacts {
    pub training: Vec<u8>,
    pub evaluation: Vec<u8>,
    pub optimizer: Vec<u8>,
    pub checkpoint: CheckpointFile,
    /// Where the training model takes dropout masks: in memory only, for a graph of standard
    /// operators that we train ourselves.
    pub sites: Vec<DropoutSite>,
}

/// An input that comes with each batch.
#[derive(Clone, Debug)]
pub(in crate::engine) struct BatchInput {
    pub name: String,
    elem_type: Option<i32>,
    /// The sizes; `None` where they are the batch's.
    sizes: Option<Vec<Option<usize>>>,
}

/// The most numbers of one input of a batch.
const MOST_VALUES: usize = 1 << 28;

impl BatchInput {
    fn of(input: &ValueInfoProto) -> BatchInput {
        let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let size = |dim: &DimensionProto| match dim.value {
            Some(DimensionValue::DimValue(size)) => usize::try_from(size).ok(),
            _ => None,
        };
        BatchInput {
            name: input.name.clone(),
            elem_type: elem_type(input),
            sizes: shape.map(|shape| shape.dim.iter().map(size).collect()),
        }
    }

    /// Returns zeros for a batch of so many rows; `None` where type or rank are not known, or where
    /// the file claims more than a batch of texts can have.
    pub(in crate::engine) fn zeros(&self, rows: usize) -> Option<Feed> {
        let shape: Vec<usize> =
            self.sizes.as_ref()?.iter().map(|size| size.unwrap_or(rows)).collect();
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        let count = count.filter(|count| *count <= MOST_VALUES)?;
        match self.elem_type? {
            kind if kind == DType::F32.onnx() => Some(Feed::F32(shape, vec![0.0; count])),
            kind if kind == DType::I64.onnx() => Some(Feed::I64(shape, vec![0; count])),
            _ => None,
        }
    }
}

impl Artifacts {
    /// Writes graphs as artifacts: a training graph with its scalar loss, and an evaluation graph
    /// over the same parameters whose outputs are [`LOSS`] and [`LOGITS`]. `weights` gives a
    /// parameter's values by name.
    pub fn new<'a>(
        mut training: Graph,
        loss: Var,
        evaluation: &Graph,
        trainable: &[String],
        optimizer: &OptimizerConfig,
        clipping: Clipping,
        weights: impl Fn(&str) -> Option<&'a ArrayD<f32>>,
    ) -> Result<Artifacts, EngineError> {
        let mut found = differentiate(&mut training, loss, trainable)?;
        training.output(LOSS, loss);
        let (optimizer, outputs, overwrite) = match clipping {
            Clipping::InOptimizer => {
                (optimizer_model(optimizer, optimizer.gradient_clip)?, 1, RESET)
            }
            Clipping::InTraining { parts } => {
                let norm =
                    clip(&mut training, &mut found, trainable, optimizer.gradient_clip, parts > 1)?;
                training.output(GRADIENT_NORM, norm);
                // The buffer is in the sum already, where there are parts.
                (optimizer_model(optimizer, None)?, 2, if parts > 1 { ALWAYS } else { RESET })
            }
        };
        for ((_, gradient), name) in found.iter().zip(trainable) {
            training.output(&format!("{name}_grad"), *gradient);
        }
        let parameters: Vec<String> =
            training.parameters().map(|(name, _)| name.to_owned()).collect();
        let mut model = onnx::write::model(&training, |_| None);
        let graph = model.graph.get_or_insert_default();
        inputs_first(graph, &parameters);
        graph.output.truncate(outputs);
        if overwrite == ALWAYS {
            graph.initializer.push(onnx::write::tensor(ALWAYS.into(), &Constant::Bool(true)));
        }
        for ((var, _), name) in found.iter().zip(trainable) {
            let buffer = format!("{name}{BUFFER}");
            if graph.input.iter().all(|input| input.name != buffer) {
                graph.input.push(onnx::write::value_info(buffer.clone(), training.fact(*var)));
            }
            let flag = format!("{name}_grad.accumulation.out");
            graph.output.push(onnx::write::value_info(flag.clone(), &flag_fact()));
            graph.node.push(NodeProto {
                input: vec![buffer, format!("{name}_grad"), overwrite.to_owned()],
                output: vec![flag],
                name: format!("accumulate_{name}"),
                op_type: "InPlaceAccumulatorV2".into(),
                domain: MICROSOFT.into(),
                ..NodeProto::default()
            });
        }
        if graph.input.iter().all(|input| input.name != RESET) {
            graph.input.push(onnx::write::value_info(RESET.into(), &flag_fact()));
        }
        let used: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
        model.opset_import.push(microsoft());

        let mut eval = onnx::write::model(evaluation, |_| None);
        inputs_first(eval.graph.get_or_insert_default(), &parameters);
        let mut checkpoint = CheckpointFile::default();
        for name in parameters.iter().filter(|name| used.contains(name)) {
            let values =
                weights(name).ok_or_else(|| EngineError::MissingParameter(name.clone()))?.clone();
            let list = if trainable.contains(name) {
                &mut checkpoint.trained
            } else {
                &mut checkpoint.frozen
            };
            list.push((name.clone(), values));
        }
        Ok(Artifacts {
            training: model.encode_to_vec(),
            evaluation: eval.encode_to_vec(),
            optimizer: optimizer.encode_to_vec(),
            checkpoint,
            sites: training.dropout_sites().to_vec(),
        })
    }

    /// Writes the four files into an existing folder.
    pub fn write(&self, folder: &Path) -> Result<(), EngineError> {
        let mut files = AtomicFiles::new(folder);
        files.add(TRAINING, &self.training)?;
        files.add(EVALUATION, &self.evaluation)?;
        files.add(OPTIMIZER, &self.optimizer)?;
        files.add(CHECKPOINT, &self.checkpoint.write()?)?;
        Ok(files.commit()?)
    }

    /// Reads a folder of artifacts and checks that its files belong together. The evaluation model
    /// gets the tensor that the loss is computed from as a further output where it has none: that
    /// is what predictions are made of.
    pub fn read(folder: &Path) -> Result<Artifacts, EngineError> {
        let file = |name: &str| match fs_err::read(folder.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(EngineError::from(ArtifactsError::Missing {
                    file: folder.join(name).display().to_string(),
                }))
            }
            other => Ok(other?),
        };
        let mut artifacts = Artifacts {
            training: file(TRAINING)?,
            evaluation: file(EVALUATION)?,
            optimizer: file(OPTIMIZER)?,
            checkpoint: CheckpointFile::read(&file(CHECKPOINT)?)?,
            sites: Vec::new(),
        };
        let training = decode(TRAINING, &artifacts.training)?;
        let evaluation = decode(EVALUATION, &artifacts.evaluation)?;
        decode(OPTIMIZER, &artifacts.optimizer)?;
        artifacts.check(&training)?;
        let output = logits(&evaluation).ok_or_else(|| ArtifactsError::Unlike {
            file: EVALUATION.into(),
            wanted: "loss over logits, such as `SoftmaxCrossEntropyLoss`".into(),
        })?;
        if evaluation.output.iter().all(|known| known.name != output) {
            let output = ValueInfoProto { name: output, r#type: None }.encode_to_vec();
            artifacts.evaluation = edit(EVALUATION, &artifacts.evaluation, |graph| {
                let mut graph = graph.to_vec();
                wire::append(&mut graph, 12, &output);
                Ok(graph)
            })?;
        }
        Ok(artifacts)
    }

    /// Returns whether a checkpoint holds everything that training goes on with: it has no place
    /// for the state of ONNX Runtime's random generators, and does not hold every size.
    pub fn can_resume(&self) -> Result<bool, EngineError> {
        Ok(self.checkpoint.fits(MOMENTS.len()) && !self.draws()?)
    }

    /// Returns the name of the evaluation model's output that holds the logits.
    pub fn logits(&self) -> Option<String> {
        logits(&decode(EVALUATION, &self.evaluation).ok()?)
    }

    /// Returns the names of the inputs that come with each batch.
    pub fn inputs(&self) -> Result<Vec<String>, EngineError> {
        let training = decode(TRAINING, &self.training)?;
        Ok(self.user_inputs(&training).map(|input| input.name.clone()).collect())
    }

    /// Returns what the evaluation model takes with each batch.
    pub(in crate::engine) fn evaluation_inputs(&self) -> Result<Vec<BatchInput>, EngineError> {
        let evaluation = decode(EVALUATION, &self.evaluation)?;
        Ok(self.user_inputs(&evaluation).map(BatchInput::of).collect())
    }

    /// Checks that a batch which gives `known` can be trained on: nothing else is asked for, and
    /// what is `needed` is.
    pub fn check_inputs(&self, known: &[&str], needed: &[&str]) -> Result<(), EngineError> {
        let inputs = self.inputs()?;
        if let Some(name) = inputs.iter().find(|input| !known.contains(&input.as_str())) {
            return Err(ArtifactsError::UnknownInput { name: name.clone() }.into());
        }
        if let Some(name) = needed.iter().find(|name| inputs.iter().all(|input| input != **name)) {
            let wanted = format!("input `{name}`");
            return Err(ArtifactsError::Unlike { file: TRAINING.into(), wanted }.into());
        }
        Ok(())
    }

    /// Returns whether training draws random numbers of its own, for dropout as a rule.
    fn draws(&self) -> Result<bool, EngineError> {
        Ok(decode(TRAINING, &self.training)?.node.iter().any(|node| seed_type(node).is_some()))
    }

    /// Returns the artifacts with every generator of the training model seeded, so that training
    /// repeats. Those that nobody seeds start from the clock.
    pub fn seeded(mut self, seed: u64) -> Result<Artifacts, EngineError> {
        let mut place = 0;
        self.training = edit(TRAINING, &self.training, |graph| {
            wire::map(graph, 1, &mut |content| {
                place += 1;
                let node = NodeProto::decode(content)?;
                let Some(kind) = seed_type(&node) else { return Ok(content.to_vec()) };
                // 24 bits, which a float holds too.
                let number = stream(seed, &["artifacts"], place).next_u32() >> 8;
                let value = if kind == INT {
                    AttributeValue::Int(number.into())
                } else {
                    AttributeValue::Float(number as f32)
                };
                let attribute = onnx::write::attribute(("seed", value)).encode_to_vec();
                if node.attribute.iter().all(|attribute| attribute.name != "seed") {
                    let mut content = content.to_vec();
                    wire::append(&mut content, 5, &attribute);
                    return Ok(content);
                }
                wire::map(content, 5, &mut |old| {
                    let named = AttributeProto::decode(old)?.name == "seed";
                    Ok(if named { attribute.clone() } else { old.to_vec() })
                })
            })
        })?;
        Ok(self)
    }

    /// Returns what the optimizer model says of itself: its name with its attributes.
    pub fn describe_optimizer(&self) -> Result<String, EngineError> {
        let graph = decode(OPTIMIZER, &self.optimizer)?;
        let nodes = graph.node.iter().filter(|node| node.op_type != "Identity").map(|node| {
            let attributes: Vec<String> = node
                .attribute
                .iter()
                .map(|attribute| match attribute.r#type {
                    FLOAT => format!("{} {}", attribute.name, attribute.f),
                    INT => format!("{} {}", attribute.name, attribute.i),
                    _ => format!("{} {}", attribute.name, String::from_utf8_lossy(&attribute.s)),
                })
                .collect();
            format!("{} ({})", node.op_type, attributes.join(", "))
        });
        Ok(nodes.collect::<Vec<_>>().join(", then "))
    }

    fn user_inputs<'a>(
        &'a self,
        training: &'a GraphProto,
    ) -> impl Iterator<Item = &'a ValueInfoProto> {
        let initialized =
            |name: &str| training.initializer.iter().any(|tensor| tensor.name == name);
        training.input.iter().filter(move |input| {
            input.name != RESET
                && !input.name.ends_with(BUFFER)
                && !initialized(&input.name)
                && !self.checkpoint.parameters().any(|(name, _)| *name == input.name)
        })
    }

    fn check(&self, training: &GraphProto) -> Result<(), ArtifactsError> {
        let unlike =
            |wanted: &str| ArtifactsError::Unlike { file: TRAINING.into(), wanted: wanted.into() };
        if training.input.iter().all(|input| input.name != RESET) {
            return Err(unlike(&format!("input `{RESET}`")));
        }
        for input in &training.input {
            let Some(name) = input.name.strip_suffix(BUFFER) else { continue };
            if !self.checkpoint.trained.iter().any(|(known, _)| known == name) {
                return Err(ArtifactsError::NoParameter {
                    file: TRAINING.into(),
                    name: name.to_owned(),
                });
            }
        }
        for input in self.user_inputs(training) {
            // A parameter that the checkpoint lacks looks like an input whose sizes are all known.
            if let Some(shape) = fixed_shape(input)
                && shape.iter().product::<i64>() > 1
                && elem_type(input) == Some(DType::F32.onnx())
            {
                return Err(ArtifactsError::NoParameter {
                    file: TRAINING.into(),
                    name: input.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// ONNX's numbers for attributes.
const FLOAT: i32 = 1;
const INT: i32 = 2;

/// Returns the type of the attribute that seeds an operator's generator, where it has one.
fn seed_type(node: &NodeProto) -> Option<i32> {
    match node.op_type.as_str() {
        // Our own masks follow from the step.
        _ if node.domain == DOMAIN => None,
        "Dropout" | "BiasDropout" | "BitmaskDropout" | "BitmaskBiasDropout" => Some(INT),
        "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike"
        | "Multinomial" | "Bernoulli" => Some(FLOAT),
        _ => None,
    }
}

/// Returns a model with another graph.
fn edit(
    file: &str,
    model: &[u8],
    mut graph: impl FnMut(&[u8]) -> Result<Vec<u8>, wire::Damaged>,
) -> Result<Vec<u8>, ArtifactsError> {
    wire::map(model, 7, &mut graph).map_err(|error| ArtifactsError::NotAModel {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

fn decode(file: &str, bytes: &[u8]) -> Result<GraphProto, ArtifactsError> {
    let not_one = |reason: String| ArtifactsError::NotAModel { file: file.to_owned(), reason };
    ModelProto::decode(bytes)
        .map_err(|error| not_one(error.to_string()))?
        .graph
        .ok_or_else(|| not_one("it has no graph".to_owned()))
}

/// Returns the name of the logits: our own, or what the loss is computed from.
fn logits(evaluation: &GraphProto) -> Option<String> {
    let own = evaluation.output.iter().any(|output| output.name == LOGITS);
    if own {
        return Some(LOGITS.to_owned());
    }
    let loss = evaluation.node.iter().find(|node| {
        ["SoftmaxCrossEntropyLoss", "SoftmaxCrossEntropyLossInternal"]
            .contains(&node.op_type.as_str())
    })?;
    loss.input.first().cloned()
}

fn fixed_shape(input: &ValueInfoProto) -> Option<Vec<i64>> {
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    shape
        .dim
        .iter()
        .map(|dim| match dim.value {
            Some(DimensionValue::DimValue(size)) => Some(size),
            _ => None,
        })
        .collect()
}

fn elem_type(input: &ValueInfoProto) -> Option<i32> {
    Some(input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type)
}

/// Clips the gradients, which become the sums over the parts of a step where there are several, and
/// returns their norm before it.
fn clip(
    g: &mut Graph,
    found: &mut [(Var, Var)],
    names: &[String],
    clip: Option<f32>,
    parted: bool,
) -> Result<Var, ShapeError> {
    let mut last = None;
    if parted {
        // An accumulator writes to its buffer in place. Nothing reads that but the sum, which the
        // accumulator waits for.
        let first = g.input(RESET, flag_fact());
        for ((parameter, gradient), name) in found.iter_mut().zip(names) {
            let fact = g.fact(*parameter).clone();
            let before = g.input(&format!("{name}{BUFFER}"), fact);
            let nothing = g.scalar(0.0);
            let before = g.choose(first, nothing, before)?;
            *gradient = g.add(before, *gradient)?;
        }
        let input = g.input(LAST_PART, TensorFact::i64(vec![Dim::Fixed(1)]));
        last = Some(g.cast(input, DType::Bool)?);
    }
    let gradients: Vec<Var> = found.iter().map(|(_, gradient)| *gradient).collect();
    let norm = global_norm(g, &gradients)?;
    if let Some(clip) = clip {
        let mut scale = clip_scale(g, norm, clip)?;
        if let Some(last) = last {
            let one = g.constant(Constant::F32(vec![1], vec![1.0]));
            scale = g.choose(last, scale, one)?;
        }
        for (_, gradient) in found {
            *gradient = g.mul(*gradient, scale)?;
        }
    }
    Ok(norm)
}

/// The training API wants the parameters after what comes with each batch.
fn inputs_first(graph: &mut GraphProto, parameters: &[String]) {
    graph.input.sort_by_key(|input| parameters.contains(&input.name));
}

fn flag_fact() -> TensorFact {
    TensorFact { dtype: DType::Bool, shape: vec![Dim::Fixed(1)] }
}

fn microsoft() -> OperatorSetIdProto {
    OperatorSetIdProto { domain: MICROSOFT.into(), version: 1 }
}

/// Returns the optimizer model: AdamW over all trained parameters at once, after clipping where
/// there is any.
fn optimizer_model(
    config: &OptimizerConfig,
    gradient_clip: Option<f32>,
) -> Result<ModelProto, ArtifactsError> {
    let [first, others @ ..] = &config.groups[..] else {
        return Err(ArtifactsError::Optimizer("it has no parameters"));
    };
    let attributes = config
        .update
        .training_api(first.weight_decay)
        .ok_or(ArtifactsError::Optimizer("it is not AdamW"))?;
    let settings = |group: &ParameterGroup| (group.learning_rate, group.weight_decay);
    if others.iter().any(|group| settings(group) != settings(first)) {
        return Err(ArtifactsError::Optimizer(MANY_GROUPS));
    }
    let mut graph = GraphProto { name: "pipe".into(), ..GraphProto::default() };
    graph.input.push(onnx::write::value_info(
        "learning_rate".into(),
        &TensorFact::f32(vec![Dim::Fixed(1)]),
    ));
    graph.input.push(onnx::write::value_info("step".into(), &TensorFact::i64(vec![Dim::Fixed(1)])));
    for name in ["params", "gradients", "first_order_moments", "second_order_moments"] {
        graph.input.push(sequence(name));
    }
    let mut gradients = "gradients";
    if let Some(clip) = gradient_clip {
        graph.node.push(NodeProto {
            input: vec![gradients.into()],
            output: vec!["clipped_gradients".into()],
            name: "clip".into(),
            op_type: "InplaceClipGradNorm".into(),
            attribute: [
                ("max_norm", AttributeValue::Float(clip)),
                ("norm_type", AttributeValue::Text("fro")),
            ]
            .into_iter()
            .map(onnx::write::attribute)
            .collect(),
            domain: MICROSOFT.into(),
        });
        gradients = "clipped_gradients";
    }
    let inputs = [
        "learning_rate",
        "step",
        "params",
        gradients,
        "first_order_moments",
        "second_order_moments",
    ];
    graph.node.push(NodeProto {
        input: inputs.map(str::to_owned).to_vec(),
        output: vec!["updated_flag".into()],
        name: "update".into(),
        op_type: "AdamWOptimizer".into(),
        attribute: attributes.into_iter().map(onnx::write::attribute).collect(),
        domain: MICROSOFT.into(),
    });
    graph.output.push(onnx::write::value_info("updated_flag".into(), &flag_fact()));
    Ok(ModelProto {
        graph: Some(graph),
        opset_import: vec![onnx::write::standard(), microsoft()],
        ..onnx::write::blank()
    })
}

fn sequence(name: &str) -> ValueInfoProto {
    let tensor = onnx::write::value_info(String::new(), &TensorFact::f32(Vec::new())).r#type.map(
        |mut tensor| {
            // The tensors of a sequence have any shape.
            if let Some(tensor) = &mut tensor.tensor_type {
                tensor.shape = None;
            }
            Box::new(tensor)
        },
    );
    let sequence = SequenceTypeProto { elem_type: tensor };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: None, sequence_type: Some(sequence) }),
    }
}
