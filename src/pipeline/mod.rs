//! From a YAML file to a typed [`Spec`], with a place in the file for every value.
//!
//! The steps: [`yaml`] makes a tree in which every node has a place, [`resolve`] sets overrides and
//! interpolates, and [`typing`] turns the tree into stages. A step continues after a problem if
//! possible, so that all problems of a file are shown at once. No value is typed twice, and no
//! problem is reported twice.

pub mod spec;
pub mod draft;
pub(crate) mod format;
mod yaml;
pub mod resolve;
pub mod typing;
pub mod problem;

pub use draft::Draft;
pub use problem::error::SpecError;
pub use problem::problem::Problem;
pub use problem::source::Location;
pub use resolve::overrides::Override;
pub use spec::Spec;
pub use typing::reference::reference;
pub use typing::schema::schema;
pub use yaml::secret::StageSecrets;
