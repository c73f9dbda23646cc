//! Gradients of a network's loss, and the dropout masks that a graph takes as inputs.

use std::collections::BTreeMap;

use super::binding::Feed;
use super::error::EngineError;
use crate::engine::graph::autodiff::gradients;
use crate::engine::graph::fact::Dim;
use crate::engine::graph::graph::{DISTANCES, DropoutSite, Graph, Var};
use crate::engine::graph::packing::{ROWS, TOKENS};
use crate::engine::kernel::dropout;

/// Adds to a graph the gradients of a scalar loss by these parameters, and returns them with the
/// parameters' own variables.
pub fn differentiate(
    graph: &mut Graph,
    loss: Var,
    trainable: &[String],
) -> Result<Vec<(Var, Var)>, EngineError> {
    let known: BTreeMap<String, Var> =
        graph.parameters().map(|(name, var)| (name.to_owned(), var)).collect();
    let vars: Vec<Var> = trainable
        .iter()
        .map(|name| {
            known.get(name).copied().ok_or_else(|| EngineError::MissingParameter(name.clone()))
        })
        .collect::<Result<_, _>>()?;
    let found = gradients(graph, loss, &vars)?;
    vars.into_iter()
        .zip(found)
        .zip(trainable)
        .map(|((var, gradient), name)| {
            Ok((var, gradient.ok_or_else(|| EngineError::Unreached(name.clone()))?))
        })
        .collect()
}

/// Returns the masks that a graph of standard operators takes as inputs for a batch.
pub fn dropout_masks(
    sites: &[DropoutSite],
    feeds: &[(String, Feed)],
    dropout_key: i64,
) -> Vec<(String, Feed)> {
    let mask = |site: &DropoutSite| {
        let shape = site_shape(&site.shape, feeds);
        let mask = dropout::mask(dropout_key, site.site, site.rate, shape.iter().product());
        (site.input.clone(), Feed::F32(shape, mask))
    };
    sites.iter().map(mask).collect()
}

/// Returns the sizes of a dropout mask, read off the step's own inputs.
fn site_shape(shape: &[Dim], feeds: &[(String, Feed)]) -> Vec<usize> {
    let of = |wanted: &str| feeds.iter().find(|(name, _)| name == wanted).map(|it| it.1.shape());
    let (batch, length) = match of("attention_mask") {
        Some(&[batch, length]) => (batch, length),
        _ => (1, 1),
    };
    let rows = of(TOKENS).map_or(batch * length, |shape| shape.iter().product());
    shape
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => *size,
            Dim::Named("B") => batch,
            Dim::Named("L") => length,
            Dim::Named(DISTANCES) => 2 * length,
            Dim::Named(ROWS) => rows,
            Dim::Named(_) | Dim::Unknown => batch * length,
        })
        .collect()
}
