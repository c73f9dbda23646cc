//! Work within a stage whose output has a place of its own in the cache, so that stages share it.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::error::StageError;
use super::output::{Kind, Output};
use super::stage::{Ctx, External};

/// A piece of work that several stages may ask for, such as the vectors of texts by one encoder.
///
/// The runner keeps its output like that of a stage. Everything that can change a bit of it is in
/// [`Piece::config`] and [`Piece::externals`], and what is known of the engine beside them.
pub trait Piece {
    /// Returns the name in the cache's keys.
    fn name(&self) -> &'static str;

    /// Names the code that computes the output; see [`super::stage::Stage::code_version`].
    fn code_version(&self) -> u32;

    /// Returns all that the output depends on, except models and the engine.
    fn config(&self) -> Value;

    /// Lists the models that the output depends on.
    fn externals(&self) -> Vec<External>;

    /// Returns what the work gives.
    fn kind(&self) -> Kind;

    /// Does the work.
    ///
    /// # Errors
    ///
    /// Fails as the work of a stage does.
    fn compute(&self, ctx: &dyn Ctx) -> Result<Arc<dyn Output>, StageError>;
}

impl fmt::Debug for dyn Piece + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.config())
    }
}
