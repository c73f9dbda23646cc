//! Pretrained encoders: where they come from, their folders, and their layers as engine graphs.

pub mod pretrained;
#[cfg(test)]
mod pretrained_tests;
#[cfg(test)]
mod mixing_tests;
pub mod encoders;
pub mod config;
pub mod weights;
pub mod difference;
pub mod source;
pub mod beside;
pub mod input_layout;
pub mod error;
pub mod head;
pub mod sentences;
pub mod network;
pub mod masked;
pub mod encoder_folder;
pub mod adapters;
pub mod mixout;
pub mod trainable;
pub mod compact;
pub mod freeze;
pub mod init;
pub mod pretrained_head;
pub mod initial_weights;
pub mod forget;
pub mod export;

pub use encoders::parts::builder::{Activation, Adapts, Dropout, NetworkOptions};
pub use encoders::parts::decoding::{DECODED, DECODED_MASK, DECODED_ROWS};
pub use encoders::parts::mixing::{MIXED_AT, PARTNER_SHARES, PARTNERS};
pub use encoders::parts::module::Module;
pub use encoders::{Config, ENCODERS, Encoder};
pub use error::ModelError;
pub use head::{Head, Pooling};
pub use mixout::Mixout;
pub use network::Network;
pub use pretrained::{Pretrained, Weights};
pub use sentences::{Embedder, HeadForm, Nearest, Prompt, Sentences};
pub use trainable::TrainableNetwork;
pub use weights::Tensors;
