//! What a GPU is given to compute has kernels there, so that no tensor has to travel to the host and back in the middle of a step.

use std::collections::BTreeSet;

use super::subject::{Size, Subject};
use crate::engine::DType::{self, BF16, Bool, F16, F32, F64, I64};
use crate::engine::session::Graphs;
use crate::engine::{EngineError, Kernels, Place, Precision};

const SIZE: Size =
    Size { name: "tiny", hidden: 32, layers: 2, heads: 2, vocabulary: 100, batch: 4, length: 8 };

/// The types that the CUDA execution provider computes each operator with, as far as we need them, in the operator's version of set 20: from
/// ONNX Runtime's own list (docs/OperatorKernels.md). A kernel whose range of versions has no end counts for the version that it begins with
/// alone, which is why set 20 has no `Equal` (19), no `Pad` (19) and no `ConstantOfShape` (20) on GPUs of most releases.
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
    // Its output lies on the host, where the sizes that are computed from it stay.
    ("Shape", &[F32, F64, F16, BF16, I64, Bool]),
    // Truth values only as the condition.
    ("Where", &[F32, F64, F16, I64, Bool]),
    ("GreaterOrEqual", &[F32, F64, F16, I64, Bool]),
    ("LessOrEqual", &[F32, F64, F16, I64, Bool]),
    ("Dropout", &[F32, F64, F16, BF16, Bool]),
];

fn has_kernel(operator: &str, types: &[DType]) -> bool {
    KERNELS.iter().any(|(name, known)| *name == operator && types.iter().all(|dtype| known.contains(dtype)))
}

#[test]
fn a_gpu_has_kernels_for_every_operator_of_a_step() -> Result<(), EngineError> {
    let place = Place::Gpu(0);
    let mut missing = BTreeSet::new();
    for precision in Precision::ALL {
        let subject = Subject::of(SIZE, place, precision, 0.1);
        assert_eq!(subject.kernels, Kernels::Standard);
        let (network, recipe) = subject.recipe()?;
        let graphs = Graphs::new(network.graph, &recipe, place)?;
        let mut count = 0;
        for (operator, types) in graphs.gradient.applied().chain(graphs.update.applied()) {
            count += 1;
            if !has_kernel(operator, &types) {
                missing.insert(format!("{operator} of {types:?} in {}", precision.name()));
            }
        }
        assert!(count > 100, "a whole step: {count}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}
