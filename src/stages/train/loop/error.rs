//! What ends a training before its time.

/// The loss became infinite or not a number.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the loss is {loss} at step {step} with learning rate {learning_rate:e}")]
#[diagnostic(help(
    "try a ten times smaller learning rate, a `gradient_clip` of 1.0, or a schedule with `warmup: \
     0.1`"
))]
pub struct NotFinite {
    pub loss: f32,
    pub step: u64,
    pub learning_rate: f64,
}

/// The gradients became infinite or not a number, and the weights with them.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the norm of the gradients is {norm} at step {step} with learning rate {learning_rate:e}")]
#[diagnostic(help("try a ten times smaller learning rate, or a schedule with `warmup: 0.1`"))]
pub struct BadGradient {
    pub norm: f32,
    pub step: u64,
    pub learning_rate: f64,
}

/// The weights became infinite or not a number, and no loss or gradient told before the end.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "`{name}` has NaN or infinite values after step {step} with learning rate {learning_rate:e}"
)]
#[diagnostic(help("try a ten times smaller learning rate, or a schedule with `warmup: 0.1`"))]
pub struct BadWeights {
    pub name: String,
    pub step: u64,
    pub learning_rate: f64,
}

/// The state of training could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the checkpoint cannot be written")]
#[diagnostic(help("free some disk space; `pipe gc` removes cached results that no run uses"))]
pub struct NotSaved(#[source] pub std::io::Error);
