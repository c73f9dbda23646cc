//! The contract between a method of augmentation and the stage that runs it.

use std::path::Path;

use rand_chacha::ChaCha8Rng;

use crate::base::report::Report;
use crate::stages::stage::{CheckError, Ctx, External, StageError};
use crate::table::Example;

/// A way of making texts out of the texts of train.
pub trait Method {
    /// Returns how many copies of each original are asked for.
    fn copies(&self) -> usize;

    /// Checks the settings; a field is named by its key below the method.
    fn check(&self) -> Vec<CheckError>;

    /// Lists what the texts depend on besides the settings and train; see [`crate::stages::Stage::externals`].
    fn externals(&self, folder: &Path, fetch: Option<&dyn Report>) -> Result<Vec<External>, StageError> {
        let _ = (folder, fetch);
        Ok(Vec::new())
    }

    /// Learns what the method needs from the original texts of train, and from nothing else of the data set.
    fn fit(&self, ctx: &dyn Ctx, train: &[&Example]) -> Result<Box<dyn Generator>, StageError>;
}

/// A method that has seen train.
pub trait Generator: Sync {
    /// Makes one text out of an original, or `None` where the method cannot change it. Everything random comes from `random`,
    /// which belongs to this original and copy alone.
    fn generate(&self, original: &Example, random: &mut ChaCha8Rng) -> Option<Generated>;
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub text: String,
    /// The ids of the originals that it was made from besides the one that was given.
    pub other_parents: Vec<String>,
}
