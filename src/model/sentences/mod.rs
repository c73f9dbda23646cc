//! Folders of sentence-transformers: what stands above the encoder there, and what is done to
//! texts.

pub mod embedder;
pub mod modules;
pub mod prompt;
pub mod preparation;
pub mod write;

pub use embedder::{Dense, DenseActivation, Embedder, HeadForm, Nearest, Step};
pub use modules::{Above, Sentences};
pub use preparation::Preparation;
pub use prompt::Prompt;
