//! DeBERTa-v2 and v3 (He et al. 2021): BERT's layers whose scores add what contents say of
//! distances (c2p) and distances of contents (p2c), with distances in logarithmic buckets.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width, `E`
//! width of the word table, `S` reach of the table of distances, `d` width of a head.

use serde::{Deserialize, Serialize};

use super::bert::{self, Modules, PostNorm};
use super::contract::{Config, Encoder, Layer, Masked, as_read};
use super::parts::builder::{Activation, Builder, Positions};
use super::parts::fields::Fields;
use crate::engine::graph::attention::Heads;
use crate::engine::graph::graph::Constant;
use crate::engine::{ShapeError, Var};
use crate::model::error::ModelError;

/// DeBERTa-v2, whose type v3 has too.
pub static DEBERTA_V2: Encoder = Encoder {
    model_types: &[("deberta-v2", "DebertaV2")],
    prefix: "deberta.",
    pooler: None,
    pretrained_head: None,
    positions: Positions::FromZero,
    padding_id: 0,
    config,
    embeddings,
    layer,
    last: None,
    head,
    sets_pooling: false,
    modernise: as_read,
    decodes: true,
    masked: &[
        Masked {
            transform: bert::masked_transform,
            words: "cls.predictions.decoder.weight",
            biases: &["cls.predictions.bias", "cls.predictions.decoder.bias"],
        },
        Masked {
            transform: newer_masked_transform,
            words: "lm_predictions.lm_head.decoder.weight",
            biases: &["lm_predictions.lm_head.bias"],
        },
    ],
};

/// The table of distances, and the rows of it that the columns of both products stand for.
const TABLE: &str = "table of distances";
const ROWS: [&str; 2] = ["distances from a query", "distances from a key"];

#[derive(Serialize, Deserialize)]
struct Own {
    distances: Option<Distances>,
    has_positions: bool,
    pooler_activation: Activation,
    pooler_dropout: f32,
}

/// How distances enter the scores.
#[derive(Serialize, Deserialize)]
struct Distances {
    /// S: the table has 2S rows.
    reach: usize,
    /// The buckets of distances; `None` where each has a row of its own.
    buckets: Option<usize>,
    /// The distance at which the last bucket begins.
    farthest: usize,
    has_norm: bool,
    /// Whether contents and distances are projected by the same weights.
    shares_keys: bool,
    /// Whether the products of contents with distances, and of distances with contents, are added.
    terms: [bool; 2],
}

fn config(encoder: &'static Encoder, fields: &Fields<'_>) -> Result<Config, ModelError> {
    let mut config = bert::config(encoder, fields)?;
    config.token_types = fields.count("type_vocab_size", 0)?;
    config.layer_norm_epsilon = fields.positive("layer_norm_eps", 1e-7)?;
    config.classifier_dropout = fields.share("cls_dropout", config.hidden_dropout)?;
    config.embedding = fields.positive_count("embedding_size")?.unwrap_or(config.hidden);
    if fields.positive_count("conv_kernel_size")?.is_some() {
        return Err(
            fields.wrong("conv_kernel_size", "0, as all but the xlarge models of v2 have it")
        );
    }
    for (name, usual) in [
        ("pooler_hidden_size", config.hidden),
        ("attention_head_size", config.hidden / config.heads),
    ] {
        if fields.count(name, usual)? != usual {
            return Err(fields.wrong(name, &usual.to_string()));
        }
    }
    let own = Own {
        distances: distances(fields, &config)?,
        has_positions: fields.flag("position_biased_input", true)?,
        pooler_activation: fields.activation("pooler_hidden_act")?,
        pooler_dropout: fields.share("pooler_dropout", 0.0)?,
    };
    Ok(config.with_own(own))
}

fn distances(fields: &Fields<'_>, config: &Config) -> Result<Option<Distances>, ModelError> {
    let terms = fields.words("pos_att_type")?;
    if let Some(other) = terms.iter().find(|term| !["c2p", "p2c"].contains(&term.as_str())) {
        let expected = format!("`c2p` and `p2c`, not `{other}`");
        return Err(fields.wrong("pos_att_type", &expected));
    }
    let terms = ["c2p", "p2c"].map(|term| terms.iter().any(|it| it == term));
    if !fields.flag("relative_attention", false)? {
        return Ok(None);
    }
    let farthest = fields.positive_count("max_relative_positions")?.unwrap_or(config.positions);
    let buckets = fields.positive_count("position_buckets")?;
    if buckets.is_some_and(|buckets| buckets < 2 || buckets / 2 >= farthest.saturating_sub(1)) {
        return Err(
            fields.wrong("position_buckets", "fewer than twice the positions, and 2 or more")
        );
    }
    Ok(Some(Distances {
        reach: buckets.unwrap_or(farthest),
        buckets,
        farthest,
        has_norm: fields.words("norm_rel_ebd")?.iter().any(|word| word == "layer_norm"),
        shares_keys: fields.flag("share_att_key", false)?,
        terms,
    }))
}

impl Distances {
    /// Returns the row of a distance, query − key.
    fn row(&self, distance: i64) -> i64 {
        let reach = self.reach as i64;
        (self.bucket(distance) + reach).clamp(0, 2 * reach - 1)
    }

    /// Returns the bucket of a distance: near ones have their own, far ones share some by their
    /// logarithm. In single precision and in this order of operations, as the original computes it.
    fn bucket(&self, distance: i64) -> i64 {
        let Some(buckets) = self.buckets else { return distance };
        let middle = buckets as i64 / 2;
        if distance.abs() <= middle {
            return distance;
        }
        let (near, far) = (middle as f32, self.farthest as f32);
        let share = (distance.abs() as f32 / near).ln() / ((far - 1.0) / near).ln();
        distance.signum() * ((share * (near - 1.0)).ceil() + near) as i64
    }
}

fn embeddings(b: &mut Builder, config: &Config) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    if let Some(distances) = &own.distances {
        let table = b.table("encoder.rel_embeddings", 2 * distances.reach, config.hidden);
        let table = match distances.has_norm {
            true => {
                let norm = b.norm("encoder.LayerNorm", config.hidden, config.layer_norm_epsilon);
                b.normed(table, norm)?
            }
            false => table,
        };
        b.keep(TABLE, table);
        // Columns are ordered by key − query in one product, by query − key in the other.
        let columns = b.columns()?; // [2L]
        let farthest = config.positions;
        for (name, sign) in ROWS.into_iter().zip([-1, 1]) {
            let rows = b.by_distance(columns, farthest, |it| distances.row(sign * it))?;
            b.keep(name, rows);
        }
    }
    let (width, hidden) = (config.embedding, config.hidden);
    let words = b.word_table("embeddings.word_embeddings", width);
    let mut sum = b.words(words)?; // [T, E]
    if own.has_positions {
        let table = b.table("embeddings.position_embeddings", config.positions, width);
        let positions = b.positions(table, config.encoder.positions, config.padding_id)?;
        sum = b.g.add(sum, positions)?;
    }
    if config.token_types > 0 {
        let types = b.table("embeddings.token_type_embeddings", config.token_types, width);
        let row = b.first_row(types)?; // [1, E]
        sum = b.g.add(sum, row)?;
    }
    if width != hidden {
        sum = b.linear_if(sum, "embeddings.embed_proj", [hidden, width], false)?; // [T, H]
    }
    let norm = b.norm("embeddings.LayerNorm", hidden, config.layer_norm_epsilon);
    let normed = b.normed(sum, norm)?;
    b.dropout(normed, config.hidden_dropout)
}

const MODULES: Modules = Modules {
    attention: [
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
    ],
    ..bert::MODULES
};

fn layer(b: &mut Builder, config: &Config, layer: Layer) -> Result<Var, ShapeError> {
    let Own { distances, .. } = config.own()?;
    let own = PostNorm::of(config, &MODULES, layer.index);
    let (hidden, x) = (config.hidden, layer.below); // [T, H]
    let made = b.projections(x, &MODULES.attention.map(|module| own.name(module)), hidden)?;
    let heads = match &distances {
        Some(distances) => scores(b, config, distances, [made[0], made[1]], &own)?,
        None => Heads::plain(config.heads),
    };
    let heads = b.looking_back(heads)?;
    let context = b.attend(made, heads, config.attention_dropout)?;
    // What follows attention is asked of the first tokens alone.
    let (context, x) = match layer.first_token_only {
        true => (b.first_tokens(context)?, b.first_tokens(x)?),
        false => (context, x),
    };
    bert::after_attention(b, config, [context, x], &own)
}

/// Returns heads whose scores take distances in (He et al. 2021, equation 4).
fn scores(
    b: &mut Builder,
    config: &Config,
    distances: &Distances,
    contents: [(Var, Option<Var>); 2],
    layer: &PostNorm,
) -> Result<Heads, ShapeError> {
    let added = distances.terms.iter().filter(|term| **term).count();
    let factor = 1.0 / ((1 + added) as f32).sqrt();
    let table = b.kept(TABLE)?;
    let table = b.dropout(table, config.hidden_dropout)?; // [2S, H]
    // The query's content with the key's distance, and the key's content with the query's.
    let modules = match distances.shares_keys {
        true => ["attention.self.key_proj", "attention.self.query_proj"],
        false => ["attention.self.pos_key_proj", "attention.self.pos_query_proj"],
    };
    let scale = factor * (1.0 / ((config.hidden / config.heads) as f32).sqrt());
    let scale = b.g.constant(Constant::scalar(scale));
    let mut bias = None;
    for term in 0..2 {
        if !distances.terms[term] {
            continue;
        }
        let rows = b.kept(ROWS[term])?; // [2L]
        let chosen = b.g.gather(table, rows)?; // [2L, H]
        let places = b.linear(chosen, &layer.name(modules[term]), config.hidden, config.hidden)?;
        let products = b.products_with(contents[term], places, config.heads)?; // [B, heads, L, 2L]
        let aligned = b.aligned(products)?; // [B, heads, L, L]
        let aligned = b.g.mul(aligned, scale)?;
        // The second has a row for each key.
        let aligned = if term == 1 { b.g.transpose_last(aligned)? } else { aligned };
        bias = Some(b.g.add_if(aligned, bias)?);
    }
    Ok(Heads { factor, bias, ..Heads::plain(config.heads) })
}

fn head(b: &mut Builder, config: &Config, x: Var, labels: usize) -> Result<Var, ShapeError> {
    let own: Own = config.own()?;
    let x = b.dropout(x, own.pooler_dropout)?;
    let x = b.linear_apart(x, "pooler.dense", config.hidden, config.hidden)?;
    let x = b.activate(x, own.pooler_activation)?;
    let x = b.dropout(x, config.classifier_dropout)?;
    b.linear(x, "classifier", labels, config.hidden)
}

/// The head of the published files of v3.
fn newer_masked_transform(b: &mut Builder, config: &Config, x: Var) -> Result<Var, ShapeError> {
    let modules = ["lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm"];
    let widths = [config.embedding, config.hidden];
    b.transform(x, modules, widths, config.activation, config.layer_norm_epsilon)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buckets that `transformers` prints.
    #[test]
    fn buckets_grow_with_the_distance() {
        let of = |buckets, farthest, distance: i64| {
            let all = Distances {
                reach: buckets,
                buckets: Some(buckets),
                farthest,
                has_norm: true,
                shares_keys: true,
                terms: [true; 2],
            };
            (all.bucket(distance), all.bucket(-distance))
        };
        for (buckets, farthest, expected) in [
            (8, 48, &[(4, 4), (5, 5), (9, 5), (10, 6), (20, 6), (21, 7), (47, 7), (48, 8)][..]),
            (8, 64, &[(5, 5), (10, 5), (11, 6), (25, 6), (26, 7), (63, 7), (64, 8)]),
            (8, 512, &[(5, 5), (20, 5), (21, 6), (101, 6), (102, 7), (511, 7)]),
            (256, 512, &[(128, 128), (511, 255)]),
        ] {
            for &(distance, bucket) in expected {
                assert_eq!(of(buckets, farthest, distance), (bucket, -bucket), "{distance}");
            }
        }
    }
}
