//! MPNet (Song et al. 2020): BERT's layers with one table of relative positions for all of them,
//! RoBERTa's positions and heads, and no token types.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width.

use serde::{Deserialize, Serialize};

use super::bert::{self, Modules, PostNorm};
use super::contract::{Config, Encoder, Layer, as_read};
use super::parts::builder::{Builder, Positions};
use super::parts::fields::Fields;
use super::roberta;
use crate::engine::graph::attention::Heads;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// MPNet.
pub static MPNET: Encoder = Encoder {
    model_types: &[("mpnet", "MPNet")],
    prefix: "mpnet.",
    pooler: None,
    pretrained_head: None,
    positions: Positions::AfterPadding,
    padding_id: 1,
    config,
    embeddings,
    layer,
    last: None,
    head: roberta::head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[roberta::MASKED],
};

/// The bias of the scores, which all layers have in common.
const BIAS: &str = "relative attention bias";

#[derive(Serialize, Deserialize)]
struct Own {
    /// The rows of the table of relative positions.
    buckets: usize,
}

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    let buckets = fields.count("relative_attention_num_buckets", 32)?;
    if buckets < BUCKETS {
        return Err(fields.wrong("relative_attention_num_buckets", "a whole number from 32"));
    }
    let config = bert::config(encoder, fields)?;
    // The table of positions begins behind this id, whatever the tokenizer pads with.
    let config = Config { token_types: 0, padding_id: encoder.padding_id, ..config };
    Ok(config.with_own(Own { buckets }))
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let Own { buckets } = config.own()?;
    let table = b.table("encoder.relative_attention_bias", buckets, config.heads);
    let bias = b.bias_by_distance(table, config.positions, bucket)?; // [1, heads, L, L]
    b.keep(BIAS, bias);
    bert::embeddings(b, config)
}

/// The buckets of distances, half of them for each direction. The model's code has these two
/// numbers as they are; its configuration gives the size of the table alone.
const BUCKETS: usize = 32;
const FARTHEST: f32 = 128.0;

/// Returns the bucket of a distance, key − query: near ones have their own, far ones share some by
/// their logarithm (Raffel et al. 2020, section 2.1).
fn bucket(distance: i64) -> i64 {
    let half = BUCKETS as i64 / 2;
    let (first, distance) = (if distance > 0 { half } else { 0 }, distance.abs());
    let exact = half / 2;
    let own = if distance < exact {
        distance
    } else {
        let (near, far) = (exact as f32, (half - exact) as f32);
        let share = (distance as f32 / near).ln() / (FARTHEST / near).ln();
        (exact + (share * far) as i64).min(half - 1)
    };
    first + own
}

const MODULES: Modules = Modules {
    attention: ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    attention_output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..bert::MODULES
};

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let heads = Heads { bias: Some(b.kept(BIAS)?), ..Heads::plain(config.heads) };
    let own = PostNorm { heads, ..PostNorm::of(config, &MODULES, layer.index) };
    bert::post_norm(b, config, layer, &own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buckets that `transformers` prints for keys before the query, and behind it.
    #[test]
    fn buckets_grow_with_the_distance() {
        let before = [0, 7, 8, 11, 12, 15, 16, 22, 23, 31, 32, 45, 46, 63, 64, 90, 91, 127, 500];
        let expected = [0, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15];
        assert_eq!(before.map(|distance| bucket(-distance)), expected);
        for (distance, own) in before.into_iter().zip(expected).skip(1) {
            assert_eq!(bucket(distance), 16 + own, "{distance}");
        }
    }
}
