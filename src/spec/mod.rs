//! From a YAML file to a typed [`Spec`], with a place in the file for every value.
//!
//! The way of a file: [`parse`] makes a tree whose every node knows its place, [`overrides`] and
//! [`interpolate`] change the tree, [`typing`] makes stages of it. A step goes on after a problem
//! where it can, so that all problems of a file are shown at once; nothing is typed twice and
//! nothing is complained of twice.

pub mod pipeline;
pub mod load;
pub mod draft;
pub mod error;
pub mod problem;
pub mod overrides;
pub mod schema;
pub mod reference;
mod source;
mod node;
mod parse;
mod interpolate;
mod typing;
mod fault;
mod dummy;
mod render;
mod emit;
pub mod suggest;

pub use draft::Draft;
pub use error::{Location, SpecError};
pub use load::load;
pub use overrides::Override;
pub use pipeline::Spec;
pub use problem::Problem;
pub use reference::reference;
pub use schema::schema;
