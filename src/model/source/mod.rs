//! Where models come from: folders, Python packages and the hub.

pub mod reference;
pub mod resolve;
pub mod content;
pub mod package;
pub mod hub;
