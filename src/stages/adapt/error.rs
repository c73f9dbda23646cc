//! Data or a model that no adaptation can be done with.

/// Data or a model that no adaptation can be done with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum AdaptError {
    #[error("the data has {count} texts that can be learnt from, and the objective needs {least}")]
    #[diagnostic(help(
        "train texts and texts without labels are read, but no dev or test text: give more with \
         `unlabelled` in the `load` stage"
    ))]
    FewTexts { count: usize, least: usize },
    #[error("`simcse` compares two vectors of a text, and without dropout they are the same")]
    #[diagnostic(help("the model's configuration has no dropout: add `dropout: 0.1`"))]
    NoDropout,
    #[error("`{model}` has no mask token that could hide others: neither `[MASK]` nor `<mask>`")]
    #[diagnostic(help("use `objective: {{ simcse: {{}} }}`, or another encoder"))]
    NoMask { model: String },
    #[error("`tsdae` makes a decoder of an encoder's layers, and those of `{model}` make none")]
    #[diagnostic(help(
        "use `objective: {{ simcse: {{}} }}`, or an encoder such as BERT, RoBERTa, MPNet or DeBERTa"
    ))]
    NoDecoder { model: String },
}
