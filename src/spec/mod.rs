//! From a YAML file to a typed [`Spec`], with a place in the file for every value.
//!
//! The steps: [`parse`] makes a tree in which every node has a place, [`overrides`] and
//! [`interpolate`] change the tree, and [`typing`] turns it into stages. A step continues after a
//! problem if possible, so that all problems of a file are shown at once. No value is typed twice,
//! and no problem is reported twice.

pub mod pipeline;
pub mod load;
pub mod draft;
pub mod error;
pub mod problem;
pub mod overrides;
pub mod schema;
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
pub use schema::schema;
