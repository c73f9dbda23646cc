//! Pretrained encoders: where they come from, their folders, and their layers as engine graphs.

pub mod pretrained;
#[cfg(test)]
mod pretrained_tests;
pub mod encoders;
pub mod config;
pub mod weights;
pub mod pickled;
pub mod difference;
pub mod source;
pub mod beside;
pub mod input_layout;
pub mod error;
pub mod head;
pub mod sentences;
pub mod network;
pub mod masked;
pub mod adapters;
pub mod trainable;
pub mod compact;
pub mod freeze;
pub mod init;
pub mod pretrained_head;
pub mod initial_weights;
pub mod forget;
pub mod export;

pub use encoders::parts::builder::{Activation, Adapts, Dropout, NetworkOptions};
pub use encoders::parts::module::Module;
pub use encoders::{Config, ENCODERS, Encoder};
pub use error::ModelError;
pub use head::{Head, Pooling};
pub use network::Network;
pub use pretrained::{Pretrained, Weights};
pub use sentences::{Embedder, HeadForm, Nearest, Prompt, Sentences};
pub use trainable::TrainableNetwork;
