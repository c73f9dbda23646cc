//! Where methods get synonyms from.

pub mod source;
pub mod thesaurus;
pub mod embeddings;
mod nearest;

pub use source::Synonyms;
pub use thesaurus::Thesaurus;
