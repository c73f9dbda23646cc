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
    #[diagnostic(help("copy or create the file again"))]
    NotAModel { file: String, reason: String },
    #[error("`{file}` needs the parameter `{name}`, which the checkpoint does not have")]
    #[diagnostic(help("the files of one folder belong together: create all four again"))]
    NoParameter { file: String, name: String },
    #[error("`{file}` has no {wanted}")]
    #[diagnostic(help(
        "create the artifacts with onnxruntime-training 1.18 or later, loss CrossEntropyLoss, \
         optimizer AdamW, from a model with the inputs `input_ids` and `attention_mask`"
    ))]
    Unlike { file: String, wanted: String },
    #[error("the training model has the input `{name}`, which texts with labels do not provide")]
    #[diagnostic(help(
        "inputs may be `input_ids`, `attention_mask`, `token_type_ids`, `position_ids` and \
         `labels`; use these names when you export the model"
    ))]
    UnknownInput { name: String },
    #[error(
        "the model has logits of shape {found:?} for one text, but the data has {data} classes"
    )]
    #[diagnostic(help(
        "create the artifacts with one output of the head for each class of the data"
    ))]
    Classes { found: Vec<usize>, data: usize },
    #[error("the optimizer cannot be written for the training API: {0}")]
    Optimizer(&'static str),
}
