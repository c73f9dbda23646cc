//! The weights of an encoder as it is, in one file that all models over it share.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::base::digest::Digest;
use crate::model::{ModelError, Tensors, weights};
use crate::stages::contract::error::StageError;
use crate::stages::contract::output::{Kind, Output};
use crate::stages::contract::stage::{Ctx, External, Piece};

/// The weights of an encoder by their names relative to it.
///
/// On the disk: model.safetensors, in single precision.
#[derive(Debug)]
pub struct Kept(pub Tensors);

impl Kind {
    /// The weights of an encoder.
    pub const WEIGHTS: Kind =
        Kind::new("an encoder's weights", |folder| Ok(Arc::new(Kept::read(folder)?)));
}

impl Kept {
    fn read(folder: &Path) -> Result<Kept, ModelError> {
        Ok(Kept(weights::look_at_whole(folder)?))
    }
}

impl Output for Kept {
    fn kind(&self) -> Kind {
        Kind::WEIGHTS
    }

    /// Writes a file of its own, whatever file the weights are from: that one is its owner's to
    /// change.
    fn write(&self, folder: &Path) -> Result<(), StageError> {
        Ok(weights::write(folder, &*self.0.all()?, str::to_owned)?)
    }
}

/// Returns the weights of an encoder of this identity, as the cache keeps them for all models that
/// leave them as they are. Nothing is read but their names and shapes.
///
/// # Errors
///
/// Fails where the cache cannot be read or written, and where the encoder cannot be read.
pub fn kept(ctx: &dyn Ctx, weights: &Tensors, identity: Digest) -> Result<Tensors, StageError> {
    Ok(ctx.shared(&Encoder { weights, identity })?.as_a::<Kept>().0.clone())
}

/// The weights of an encoder as a piece that stages share.
struct Encoder<'a> {
    weights: &'a Tensors,
    identity: Digest,
}

impl Piece for Encoder<'_> {
    fn name(&self) -> &'static str {
        "encoder"
    }

    fn code_version(&self) -> u32 {
        1
    }

    /// Which of the encoder's weights are used depends on what stands over it.
    fn config(&self) -> Value {
        let names: Vec<&str> = self.weights.names().collect();
        json!({ "names": Digest::of(names.join("\n").as_bytes()).to_string() })
    }

    fn externals(&self) -> Vec<External> {
        vec![External { name: "encoder".to_owned(), digest: self.identity }]
    }

    fn kind(&self) -> Kind {
        Kind::WEIGHTS
    }

    fn compute(&self, _: &dyn Ctx) -> Result<Arc<dyn Output>, StageError> {
        Ok(Arc::new(Kept(self.weights.clone())))
    }
}
