//! From a tree to typed settings, and the schema of those settings.

pub mod typing;
mod fault;
pub mod dummy;
pub mod schema;
pub mod reference;
