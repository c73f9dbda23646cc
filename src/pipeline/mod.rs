//! From a YAML file to a typed [`Spec`], with a place in the file for every value.
//!
//! The way of a file: [`yaml`] makes a tree whose every node knows its place, [`resolve`] sets
//! overrides and interpolates, [`typing`] makes stages of it. A step goes on after a problem where it
//! can, so that all problems of a file are shown at once; nothing is typed twice and nothing is
//! complained of twice.

pub mod spec;
pub mod load;
pub mod draft;
pub(crate) mod format;
mod yaml;
pub mod resolve;
pub mod typing;
pub mod problem;

pub use draft::Draft;
pub use load::load;
pub use problem::error::SpecError;
pub use problem::problem::Problem;
pub use problem::source::Location;
pub use resolve::overrides::Override;
pub use spec::Spec;
pub use typing::schema::schema;
