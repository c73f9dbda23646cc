//! The sources of synonyms.

pub mod source;
pub mod thesaurus;
pub mod vocabulary;
pub mod embeddings;
pub mod wordnet;
pub mod openoffice;
mod nearest;
mod words;

pub use source::Synonyms;
pub use thesaurus::Thesaurus;
pub use vocabulary::Vocabulary;
pub use words::{WordRow, whole_words};
