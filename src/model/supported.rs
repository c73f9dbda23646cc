//! The architectures that are read.

/// The supported values of `model_type`, for messages.
pub const SUPPORTED: &str = "`bert`, `distilbert`, `roberta`, `xlm-roberta` and `camembert`";
