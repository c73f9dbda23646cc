//! Pretrained encoders: where they come from, their folders, and their layers as engine graphs.

pub mod pretrained;
pub mod resolve;
pub mod head;
pub mod names;
pub mod encoder;
pub mod compact;
pub mod freeze;
pub mod init;
pub mod export;

pub use encoder::{Network, NetworkOptions};
pub use head::Head;
pub use pretrained::{Architecture, Config, ModelError, Pretrained, Weights};
