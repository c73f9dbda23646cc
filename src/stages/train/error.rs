//! Data and models that a training cannot be done with.

/// Data or a model that this training cannot be done with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrainError {
    #[error(
        "`class_weights` names `{name}`, which is no label of the data; the labels are {labels}"
    )]
    UnknownClass { name: String, labels: String },
    #[error("`class_weights` has no weight for the label `{name}`")]
    #[diagnostic(help("give every label of the data a weight, 1 where it should count as it is"))]
    MissingClass { name: String },
    #[error("`freeze` leaves nothing to train")]
    #[diagnostic(help(
        "the head's parameters start with `classifier`; take the pattern that matches them away"
    ))]
    AllFrozen,
    #[error(
        "`freeze` has the pattern `{pattern}`, which matches no parameter; there are such as \
         {examples}"
    )]
    #[diagnostic(help(
        "`*` stands for any text, and a pattern matches whole names: `embeddings.*`, `*.layer.0.*`"
    ))]
    IdlePattern { pattern: String, examples: String },
    #[error(
        "`freeze: {{ all_but_top_layers: {asked} }}` asks for more layers than the model's {found}"
    )]
    #[diagnostic(help("leave out `freeze` to train everything"))]
    TooManyLayers { asked: usize, found: usize },
    #[error("`precision: tf32` is a setting of GPUs, and this training runs on the CPU")]
    #[diagnostic(help("add `--device cuda`, or take `fp32`"))]
    Tf32,
}
