//! Adapters: small parts that are trained in place of an encoder's own weights, and merged into
//! them.

pub mod contract;
pub mod targets;
pub mod lora;
pub mod ia3;
pub mod peft;

pub use contract::Adapter;
pub use ia3::Ia3;
pub use lora::Lora;
pub use targets::Targets;
