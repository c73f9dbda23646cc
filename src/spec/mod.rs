//! From a YAML file to a typed [`Spec`], with a place in the file for every value.

pub mod spec;
pub mod error;
pub mod overrides;
pub mod load;
pub mod schema;

pub use error::{Location, SpecError};
pub use load::load;
pub use overrides::Override;
pub use spec::Spec;
