//! Every operator of a GPU training has a kernel there, so that no tensor travels to the host and
//! back within a step.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use crate::engine::DType::{self, BF16, Bool, F16, F32, F64, I64};
use crate::engine::backend::session::Graphs;
use crate::engine::{
    AdamW, EngineError, OptimizerConfig, ParameterGroup, Place, Precision, Recipe, Sgd, Update,
};
use crate::model::{Activation, Config, Dropout, ENCODERS, Head, NetworkOptions, TrainableNetwork};

/// A recorded model of each architecture (tests/record_transformers.py), and of each of its forms.
const MODELS: [&str; 11] = [
    "tiny-bert",
    "tiny-distilbert",
    "tiny-roberta",
    "tiny-mpnet",
    "tiny-electra",
    "tiny-albert",
    "tiny-modernbert",
    "tiny-deberta-v2",
    "tiny-deberta-v2-v2",
    "tiny-nomic-bert",
    "tiny-gte",
];

/// Returns a recorded model's configuration, with dropout.
fn config(model: &str) -> Result<Config, Box<dyn Error>> {
    let path = format!("{}/tests/data/{model}/config.json", env!("CARGO_MANIFEST_DIR"));
    let json = serde_json::from_slice(&fs_err::read(&path)?)?;
    let config = Config::from_json(&json, Path::new(&path))?;
    let (hidden_dropout, attention_dropout, classifier_dropout) = (0.1, 0.1, 0.1);
    Ok(Config { hidden_dropout, attention_dropout, classifier_dropout, ..config })
}

/// The types for which the CUDA execution provider has kernels, as far as we need them, in the
/// operators' versions of set 20. The source is ONNX Runtime's own list (docs/OperatorKernels.md).
/// A kernel with an open range of versions counts only for its first version. Set 20 therefore has
/// no `Equal` (19), no `Pad` (19) and no `ConstantOfShape` (20) on GPUs in most releases.
const KERNELS: &[(&str, &[DType])] = &[
    ("Add", &[F32, F64, F16, BF16, I64]),
    ("Sub", &[F32, F64, F16, BF16, I64]),
    ("Mul", &[F32, F64, F16, BF16, I64]),
    ("Div", &[F32, F64, F16, BF16, I64]),
    ("Min", &[F32, F64, F16, BF16, I64]),
    ("Neg", &[F32, F64, F16, BF16, I64]),
    ("Sqrt", &[F32, F64, F16]),
    ("Exp", &[F32, F64, F16]),
    ("Tanh", &[F32, F64, F16]),
    ("Erf", &[F32, F64, F16]),
    ("Gelu", &[F32, F64, F16]),
    ("Relu", &[F32, F64, F16]),
    ("Softmax", &[F32, F64, F16, BF16]),
    ("LogSoftmax", &[F32, F64, F16]),
    ("LayerNormalization", &[F32, F64, F16, BF16]),
    ("MatMul", &[F32, F64, F16, BF16]),
    ("Gemm", &[F32, F64, F16, BF16]),
    ("Reciprocal", &[F32, F64, F16]),
    ("Sin", &[F32, F64, F16]),
    ("Cos", &[F32, F64, F16]),
    ("CumSum", &[F32, F64, F16, I64]),
    ("And", &[Bool]),
    ("ReduceSum", &[F32, F64, F16, BF16, I64]),
    ("ReduceMean", &[F32, F64, F16]),
    ("ReduceSumSquare", &[F32, F64, F16]),
    ("Transpose", &[F32, F64, F16, BF16, I64, Bool]),
    ("Reshape", &[F32, F64, F16, BF16, I64, Bool]),
    ("Expand", &[F32, F64, F16, BF16, I64, Bool]),
    ("Slice", &[F32, F64, F16, BF16, I64, Bool]),
    ("Concat", &[F32, F64, F16, BF16, I64, Bool]),
    ("Gather", &[F32, F64, F16, BF16, I64, Bool]),
    ("ScatterND", &[F32, F64, F16, I64]),
    ("Cast", &[F32, F64, F16, BF16, I64, Bool]),
    // Its output is on the host, as are the sizes that are computed from it.
    ("Shape", &[F32, F64, F16, BF16, I64, Bool]),
    ("Where", &[F32, F64, F16, I64]),
    ("GreaterOrEqual", &[F32, F64, F16, I64]),
    ("LessOrEqual", &[F32, F64, F16, I64]),
    ("Dropout", &[F32, F64, F16, BF16, Bool]),
];

fn has_kernel(operator: &str, types: &[DType]) -> bool {
    // Conditions and results are booleans, for any type of the operands.
    let types = match operator {
        "Where" => &types[1..],
        "GreaterOrEqual" | "LessOrEqual" => &types[..2],
        _ => types,
    };
    KERNELS
        .iter()
        .any(|(name, known)| *name == operator && types.iter().all(|dtype| known.contains(dtype)))
}

/// Returns the operators of a training that have no kernel on a GPU.
fn missing(
    config: &Config,
    head: Head,
    update: Arc<dyn Update>,
    precision: Precision,
) -> Result<BTreeSet<String>, EngineError> {
    let place = Place::Gpu(0);
    let options = NetworkOptions {
        kernels: place.kernels(),
        dropout: Dropout::Random(1),
        word_rows: config.vocabulary,
        positions_in_graph: false,
        packed: false,
    };
    let TrainableNetwork { network, loss } =
        TrainableNetwork::classifier(config, head, 3, options)?;
    let trainable: Vec<String> =
        network.graph.parameters().map(|(name, _)| name.to_owned()).collect();
    let (head, encoder): (Vec<String>, Vec<String>) =
        trainable.iter().cloned().partition(|name| name.starts_with("classifier"));
    let groups = [(encoder, 1e-4), (head, 1e-2)].map(|(parameters, learning_rate)| {
        ParameterGroup { parameters, learning_rate, weight_decay: 0.01, pull: 0.0 }
    });
    let optimizer = OptimizerConfig { update, gradient_clip: Some(1.0), groups: groups.to_vec() };
    let recipe = Recipe { loss, trainable, optimizer, precision };
    let graphs = Graphs::new(network.graph, &recipe, place)?;
    let applied: Vec<_> = graphs.gradient.applied().chain(graphs.update.applied()).collect();
    assert!(applied.len() > 100, "a whole step: {}", applied.len());
    let bare = applied.iter().filter(|(operator, types)| !has_kernel(operator, types));
    Ok(bare
        .map(|(operator, types)| format!("{operator} of {types:?} in {}", precision.name()))
        .collect())
}

#[test]
fn a_gpu_has_kernels_for_every_operator_of_a_step() -> Result<(), Box<dyn Error>> {
    let adamw: Arc<dyn Update> = Arc::new(AdamW::default());
    let sgd: Arc<dyn Update> = Arc::new(Sgd { momentum: 0.9 });
    let mut bare = BTreeSet::new();
    let mut seen = Vec::new();
    for model in MODELS {
        let config = config(model)?;
        seen.push(config.encoder);
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            for head in [Head::Auto, Head::Mean, Head::Cls] {
                let config = Config { activation, ..config.clone() };
                for (update, precision) in [
                    (&adamw, Precision::Fp32),
                    (&adamw, Precision::Fp16),
                    (&adamw, Precision::Bf16),
                    (&sgd, Precision::Fp16),
                ] {
                    bare.extend(missing(&config, head, update.clone(), precision)?);
                }
            }
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
    assert!(ENCODERS.iter().all(|encoder| seen.contains(encoder)), "each has a recorded model");
    Ok(())
}
