//! The operators of graphs: for each its shape rule, how ONNX writes it, its gradient and its test
//! samples.

pub mod contract;
pub mod arithmetic;
pub mod pointwise;
pub mod activation;
pub mod softmax;
pub mod product;
pub mod layout;
pub mod reduce;
pub mod slice;
pub mod gather;
pub mod normalize;
pub mod logic;
pub mod random_mask;
pub mod fused;

pub use contract::{GradError, Op, OpNode, Role};

/// The operators that graphs may hold. Each has samples in the one test that walks them all.
pub const LISTED: &[&str] = &[
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Sqrt",
    "Exp",
    "Log",
    "Neg",
    "Tanh",
    "Erf",
    "Relu",
    "Reciprocal",
    "Sin",
    "Cos",
    "Gelu",
    "Softmax",
    "LogSoftmax",
    "MatMul",
    "Gemm",
    "Transpose",
    "Reshape",
    "Expand",
    "Cast",
    "Shape",
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceSumSquare",
    "Slice",
    "Concat",
    "Gather",
    "ScatterND",
    "LayerNormalization",
    "Where",
    "GreaterOrEqual",
    "LessOrEqual",
    "And",
    "Not",
    "CumSum",
    "TopK",
    "Min",
    "Attention",
    "AttentionGrad",
    "BiasGelu",
    "BiasGeluGrad",
    "AddNorm",
    "AddNormGrad",
    "Dropout",
    "ColumnSum",
    "WeightGrad",
    "GatherGrad",
    "AdamW",
    "SumSquares",
];
