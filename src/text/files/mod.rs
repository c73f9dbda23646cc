//! A tokenizer.json from the older files of a tokenizer, as `transformers` 5 converts them.
//!
//! The class of the tokenizer decides which files are read and by which rules; where none is named,
//! the architecture does, else the files that are there.

mod convert;
mod class;
mod parts;
mod special;
mod word_piece;
mod byte_level;
mod unigram;
mod sentence_piece;
mod model_file;

pub use convert::tokenizer_json;
