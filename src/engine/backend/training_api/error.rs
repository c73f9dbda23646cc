//! Training artifacts that cannot be trained from.

/// Artifacts that cannot be trained from.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ArtifactsError {
    #[error("`{file}` is missing")]
    #[diagnostic(help(
        "a folder of artifacts holds training_model.onnx, eval_model.onnx, optimizer_model.onnx \
         and checkpoint; `generate_artifacts` and `pipe artifacts` write all four"
    ))]
    Missing { file: String },
    #[error("`{file}` is not an ONNX model: {reason}")]
    #[diagnostic(help("copy or make the file again"))]
    NotAModel { file: String, reason: String },
    #[error("`{file}` wants the parameter `{name}`, which the checkpoint does not have")]
    #[diagnostic(help("the files of one folder belong together: make all four again"))]
    NoParameter { file: String, name: String },
    #[error("`{file}` has no {wanted}")]
    #[diagnostic(help(
        "make the artifacts with onnxruntime-training 1.18 or later, loss CrossEntropyLoss, \
         optimizer AdamW, from a model with the inputs `input_ids` and `attention_mask`"
    ))]
    Unlike { file: String, wanted: String },
    #[error("the training model takes the input `{name}`, which texts with labels do not give")]
    #[diagnostic(help(
        "inputs may be `input_ids`, `attention_mask`, `token_type_ids`, `position_ids` and \
         `labels`; name them so when the model is exported"
    ))]
    UnknownInput { name: String },
    #[error(
        "the model gives logits of shape {found:?} for one text, and the data have {data} classes"
    )]
    #[diagnostic(help("make the artifacts with a head for as many classes as the data have"))]
    Classes { found: Vec<usize>, data: usize },
    #[error("the optimizer cannot be written for the training API: {0}")]
    Optimizer(&'static str),
}
