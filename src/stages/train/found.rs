//! The encoder that a training begins with: where it lies, and what it has read before.

use std::path::PathBuf;

use super::settings::Model;
use crate::base::digest::Digest;
use crate::data::Seen;
use crate::model::pretrained::{LEARNT_TEXTS, SEEN_TEXTS};
use crate::model::source::resolve::{identity, resolve};
use crate::stages::adapt::adapted::StoredEncoder;
use crate::stages::contract::error::StageError;
use crate::stages::contract::stage::Ctx;

/// An encoder that lies in a folder.
pub struct Found {
    pub folder: PathBuf,
    /// Of its content.
    pub identity: Digest,
    /// All texts that it has read, where `pipe` has trained it.
    pub seen: Seen,
    /// Those that it has learnt from with their labels. Those of an `adapt` stage are not among
    /// them.
    pub learnt: Seen,
}

impl Found {
    /// Finds the encoder that `model` names; `given` is what its stage gives, where it names one.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be fetched or read.
    pub fn new(
        ctx: &dyn Ctx,
        model: &Model,
        given: Option<&StoredEncoder>,
    ) -> Result<Found, StageError> {
        if let Some(given) = given {
            let (folder, identity) = (given.folder.clone(), given.identity);
            let (seen, learnt) = (given.seen.clone(), given.learnt.clone());
            return Ok(Found { folder, identity, seen, learnt });
        }
        // A stage without a reference has an encoder given.
        let reference = model.pretrained.as_deref().unwrap_or_default();
        let folder = resolve(reference, ctx.folder(), ctx)?;
        let seen = Seen::read(&folder.join(SEEN_TEXTS))?;
        let identity = identity(reference, ctx.folder(), None)?;
        // A copy of what an `adapt` stage gave tells what was learnt with labels.
        let learnt = match folder.join(LEARNT_TEXTS) {
            own if own.is_file() => Seen::read(&own)?,
            _ => seen.clone(),
        };
        Ok(Found { folder, identity, seen, learnt })
    }
}
