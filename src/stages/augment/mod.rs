//! The stage `augment`: adds generated texts to train.

pub mod stage;

pub use stage::Augment;
