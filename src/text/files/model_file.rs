//! The messages of sentencepiece_model.proto, as far as they are read here. Field numbers and
//! defaults are the format's.

use prost::Message;

use crate::text::error::TextError;

/// The kinds of pieces that are told apart.
pub(super) const NORMAL: i32 = 1;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;

/// The kinds of models that are read.
pub(super) const UNIGRAM: i32 = 1;
pub(super) const BPE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelFile {
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    pub trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    pub normalizer: Option<Normalizer>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Piece {
    #[prost(string, tag = "1")]
    pub piece: String,
    #[prost(float, tag = "2")]
    pub score: f32,
    #[prost(int32, tag = "3", default = "1")]
    pub kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Trainer {
    #[prost(int32, tag = "3", default = "1")]
    pub model_type: i32,
    #[prost(bool, tag = "35")]
    pub byte_fallback: bool,
    #[prost(int32, tag = "40", default = "0")]
    pub unk_id: i32,
    #[prost(int32, tag = "41", default = "1")]
    pub bos_id: i32,
    #[prost(int32, tag = "42", default = "2")]
    pub eos_id: i32,
    #[prost(string, tag = "45", default = "<unk>")]
    pub unk_piece: String,
    #[prost(string, tag = "46", default = "<s>")]
    pub bos_piece: String,
    #[prost(string, tag = "47", default = "</s>")]
    pub eos_piece: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Normalizer {
    #[prost(bytes = "vec", tag = "2")]
    pub precompiled_charsmap: Vec<u8>,
    #[prost(bool, tag = "3", default = "true")]
    pub add_dummy_prefix: bool,
    #[prost(bool, tag = "4", default = "true")]
    pub remove_extra_whitespaces: bool,
    #[prost(bool, tag = "5", default = "true")]
    pub escape_whitespaces: bool,
}

impl ModelFile {
    /// Reads a file; `name` is for messages. Pieces that no library could use are an error.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<ModelFile, TextError> {
        let wrong = |detail: String| TextError::File { file: name.to_owned(), detail };
        if bytes.starts_with(b"version https://git-lfs") {
            return Err(wrong("it is a Git LFS pointer; fetch the file by `git lfs pull`".into()));
        }
        let file = ModelFile::decode(bytes)
            .map_err(|error| wrong(format!("it is not a SentencePiece model ({error})")))?;
        if file.pieces.is_empty() {
            return Err(wrong("it is not a SentencePiece model (it has no pieces)".into()));
        }
        let broken = |piece: &Piece| piece.piece.is_empty() || !piece.score.is_finite();
        match file.pieces.iter().position(broken) {
            Some(index) => Err(wrong(format!("its piece {index} is empty or has no score"))),
            None => Ok(file),
        }
    }

    pub(super) fn trainer(&self) -> Trainer {
        self.trainer.clone().unwrap_or_default()
    }

    pub(super) fn normalizer(&self) -> Normalizer {
        self.normalizer.clone().unwrap_or_default()
    }
}
