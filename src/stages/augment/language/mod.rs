//! Words, the texts of a class, and models of language fitted on them.

pub mod words;
mod in_turn;
pub mod stop_words;
pub mod class_texts;
pub mod weighted;
pub mod verbatim;
pub mod hidden_markov;
