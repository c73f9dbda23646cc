//! How the architectures name the parameters of one layer, relative to the encoder.

use super::config::Architecture;

/// The modules of one encoder layer; each has a `.weight` and a `.bias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerNames {
    pub query: String,
    pub key: String,
    pub value: String,
    pub attention_output: String,
    pub attention_norm: String,
    pub up: String,
    pub down: String,
    pub output_norm: String,
}

/// What the names of layer `index`'s parameters start with.
pub fn layer_prefix(architecture: Architecture, index: usize) -> String {
    match architecture {
        Architecture::Bert | Architecture::Roberta => format!("encoder.layer.{index}."),
        Architecture::DistilBert => format!("transformer.layer.{index}."),
    }
}

/// Returns the names of layer `index`, counted from the bottom.
pub fn layer(architecture: Architecture, index: usize) -> LayerNames {
    let prefix = layer_prefix(architecture, index);
    let name = |module: &str| format!("{prefix}{module}");
    match architecture {
        Architecture::Bert | Architecture::Roberta => LayerNames {
            query: name("attention.self.query"),
            key: name("attention.self.key"),
            value: name("attention.self.value"),
            attention_output: name("attention.output.dense"),
            attention_norm: name("attention.output.LayerNorm"),
            up: name("intermediate.dense"),
            down: name("output.dense"),
            output_norm: name("output.LayerNorm"),
        },
        Architecture::DistilBert => LayerNames {
            query: name("attention.q_lin"),
            key: name("attention.k_lin"),
            value: name("attention.v_lin"),
            attention_output: name("attention.out_lin"),
            attention_norm: name("sa_layer_norm"),
            up: name("ffn.lin1"),
            down: name("ffn.lin2"),
            output_norm: name("output_layer_norm"),
        },
    }
}

/// The word embedding table.
pub const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// The position table.
pub const POSITION_EMBEDDINGS: &str = "embeddings.position_embeddings.weight";
/// The token type table, where there is one.
pub const TOKEN_TYPE_EMBEDDINGS: &str = "embeddings.token_type_embeddings.weight";
/// The norm of the embeddings.
pub const EMBEDDING_NORM: &str = "embeddings.LayerNorm";
