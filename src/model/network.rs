//! Encoders with a classification head or with none, as engine graphs.
//!
//! Dimensions: `B` texts of a batch, `L` tokens of the longest, `T` = B·L rows, `H` width, `E`
//! width of a text's vector, `K` classes. A head that reads only the first token needs only that
//! token's row of the last layer, so that layer is computed for `B` of them, whose queries look at
//! all rows; the numbers are the same but for rounding. Where the CPU predicts, the whole layer is
//! computed: products with few rows are rounded by how many there are, and what is said of a text
//! would depend on its neighbours.

use std::sync::Arc;

use super::encoders::Config;
use super::encoders::contract::Layer;
use super::encoders::parts::builder::{Adapts, Builder, Dropout, NetworkOptions};
use super::encoders::parts::module::Module;
use super::head::Pooling;
use super::sentences::{Embedder, HeadForm, Nearest, Step};
use crate::engine::{Dim, Graph, Place, ShapeError, TensorFact, Var};
use crate::text::Combine;

/// The inputs that say which rows of a batch are the windows of which text.
pub const WINDOW_ROWS: &str = "window_rows";
pub const WINDOW_MASK: &str = "window_mask";

/// The parameters of a linear head over the vector of a text: `[K, E]` and `[K]`.
pub const CLASSIFIER_WEIGHT: &str = "classifier.weight";
pub const CLASSIFIER_BIAS: &str = "classifier.bias";

/// The parameters of a head that counts the nearest of N texts, beside its bias: their vectors of
/// length 1 `[N, E]`, what each adds to the classes `[N, K]`, and the temperature of cosines `[1]`.
pub const NEAREST_VECTORS: &str = "classifier.vectors";
pub const NEAREST_VOTES: &str = "classifier.votes";
pub const NEAREST_TEMPERATURE: &str = "classifier.temperature";
/// What each class has, beside the weight 1 of the nearest text.
pub const NEAREST_FLOOR: f64 = 1e-6;

/// Says whether a parameter of this name is one of a head over vectors.
pub fn is_vector_head(name: &str) -> bool {
    const NAMES: [&str; 5] =
        [CLASSIFIER_WEIGHT, CLASSIFIER_BIAS, NEAREST_VECTORS, NEAREST_VOTES, NEAREST_TEMPERATURE];
    NAMES.contains(&name)
}

/// A network up to its logits, or up to the vectors of texts.
#[derive(Debug)]
pub struct Network {
    /// Inputs `input_ids` and `attention_mask` `[B, L]` (i64), perhaps `position_ids` `[B, L]` and,
    /// in training, `dropout_key` `[1]`.
    pub graph: Graph,
    /// The logits `[B, K]`, or the vectors `[B, E]`.
    pub output: Var,
    /// The linear layers within the encoder's layers, lowest first.
    pub modules: Vec<Module>,
}

impl Network {
    /// Builds an encoder with a head for `labels` classes.
    pub fn new(
        config: &Config,
        form: impl Into<HeadForm>,
        labels: usize,
        options: NetworkOptions,
    ) -> Result<Network, ShapeError> {
        Network::adapted(config, form, labels, options, None)
    }

    /// Builds the same with something put into the encoder's linear layers.
    pub fn adapted(
        config: &Config,
        form: impl Into<HeadForm>,
        labels: usize,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        Network::mixed(config, form, labels, options, (adapter, &[]))
    }

    /// Builds the same with states that may be mixed after so many layers, each of these numbers;
    /// the inputs are those of [`super::encoders::parts::mixing`].
    pub fn mixed(
        config: &Config,
        form: impl Into<HeadForm>,
        labels: usize,
        options: NetworkOptions,
        (adapter, mixed_after): (Option<Arc<dyn Adapts>>, &[usize]),
    ) -> Result<Network, ShapeError> {
        let mut b = Builder::new(options);
        b.adapt(adapter);
        b.mix_after(mixed_after);
        let output = match form.into() {
            HeadForm::Own => {
                let reads_first = config.head_reads == Pooling::Cls && b.computes_one();
                let states = encode(&mut b, config, reads_first)?;
                b.enter_head();
                let x = if reads_first { states } else { b.pooled(states, config.head_reads)? };
                (config.encoder.head)(&mut b, config, x, labels)? // of [B, H]
            }
            HeadForm::Linear(embedder) => {
                let x = embed(&mut b, config, &embedder)?; // [B, E]
                b.enter_head();
                let x = b.dropout(x, config.classifier_dropout)?;
                b.linear(x, "classifier", labels, embedder.width(config.hidden))?
            }
            HeadForm::Nearest(embedder, nearest) => {
                let x = embed(&mut b, config, &embedder)?; // [B, E]
                b.enter_head();
                count_nearest(&mut b, x, nearest, (embedder.width(config.hidden), labels))?
            }
        };
        let modules = b.modules().to_vec();
        Ok(Network { graph: b.g, output, modules })
    }

    /// Builds an encoder without a head, whose output are the vectors `[B, E]` that a linear head
    /// over it would read, perhaps with something put into its linear layers.
    pub fn of_vectors(
        config: &Config,
        embedder: &Embedder,
        options: NetworkOptions,
        adapter: Option<Arc<dyn Adapts>>,
    ) -> Result<Network, ShapeError> {
        let mut b = Builder::new(options);
        b.adapt(adapter);
        let output = embed(&mut b, config, embedder)?;
        let modules = b.modules().to_vec();
        Ok(Network { graph: b.g, output, modules })
    }

    /// Makes one row of the output of those of each text's windows: adds the inputs
    /// [`WINDOW_ROWS`], `[N·M]` for `N` texts of up to `M` windows, and [`WINDOW_MASK`] `[N, M]`,
    /// both i64.
    pub fn combine_windows(&mut self, combine: Combine) -> Result<(), ShapeError> {
        let g = &mut self.graph;
        let rows = g.input(WINDOW_ROWS, TensorFact::i64(vec![Dim::Named("windows")]));
        let shape = vec![Dim::Named("texts"), Dim::Named("most")];
        let mask = g.input(WINDOW_MASK, TensorFact::i64(shape));
        let windows = g.gather(self.output, rows)?; // [N·M, K]
        let windows = g.split_rows(windows, mask)?; // [N, M, K]
        self.output = match combine {
            Combine::Mean => g.mean_of_tokens(windows, mask)?,
            Combine::Max => g.max_of_tokens(windows, mask)?,
        };
        Ok(())
    }

    /// Builds the network whose parameters are those of a whole model.
    pub(super) fn whole(
        config: &Config,
        form: impl Into<HeadForm>,
        labels: usize,
    ) -> Result<Network, ShapeError> {
        Network::new(config, form, labels, NetworkOptions::inference(config, Place::Host))
    }
}

impl NetworkOptions {
    /// What our own inference uses: fused kernels, the whole word table, positions as an input.
    pub fn inference(config: &Config, place: Place) -> NetworkOptions {
        NetworkOptions {
            kernels: place.kernels(),
            dropout: Dropout::Off,
            word_rows: config.vocabulary,
            positions_in_graph: false,
            packed: false,
        }
    }
}

/// Returns the graph of an encoder whose output `embedding` `[B, E]` is what a linear head over it
/// would read.
pub fn embedding(
    config: &Config,
    embedder: &Embedder,
    options: NetworkOptions,
) -> Result<Graph, ShapeError> {
    let Network { mut graph, output, .. } = Network::of_vectors(config, embedder, options, None)?;
    graph.output("embedding", output);
    Ok(graph)
}

/// Returns the graph of an encoder alone, whose parameters are those of any of its models.
pub(super) fn headless(config: &Config) -> Result<Graph, ShapeError> {
    let options = NetworkOptions::inference(config, Place::Host);
    embedding(config, &Embedder::of(Pooling::Mean), options)
}

/// Builds the encoder and the vectors `[B, E]` over it.
pub(super) fn embed(
    b: &mut Builder,
    config: &Config,
    embedder: &Embedder,
) -> Result<Var, ShapeError> {
    let is_first = |pooling: &Pooling| *pooling == Pooling::Cls;
    let first_token_only = embedder.poolings.iter().all(is_first) && b.computes_one();
    let states = encode(b, config, first_token_only)?;
    // What stands over the top layer is trained where that is.
    b.enter_layer(config.layers.checked_sub(1));
    let mut pooled = Vec::new();
    for pooling in &embedder.poolings {
        pooled.push(if first_token_only { states } else { b.pooled(states, *pooling)? });
    }
    let mut x = match pooled.as_slice() {
        [one] => *one,
        all => b.g.concat(all, 1)?,
    };
    for step in &embedder.steps {
        x = match step {
            Step::Dense(dense) => b.dense(x, dense)?,
            Step::Normalize => b.g.scaled_to_one(x)?,
        };
    }
    b.enter_layer(None);
    Ok(x)
}

/// Counts the nearest of the kept texts by their cosines, relative to the nearest, with vectors of
/// length 1: `[B, E]` → logits `[B, K]`. Nothing learns through it.
fn count_nearest(
    b: &mut Builder,
    x: Var,
    Nearest { texts, k }: Nearest,
    (width, labels): (usize, usize),
) -> Result<Var, ShapeError> {
    let vectors = b.kept_number(NEAREST_VECTORS, &[texts, width]);
    let votes = b.kept_number(NEAREST_VOTES, &[texts, labels]);
    let temperature = b.kept_number(NEAREST_TEMPERATURE, &[1]);
    let bias = b.bias("classifier", labels);
    let g = &mut b.g;
    let turned = g.transpose_last(vectors)?;
    let cosines = g.matmul(x, turned)?; // [B, N]
    let (cosines, places) = g.top_k(cosines, k)?; // [B, k]
    let nearest = g.slice(cosines, 1, 0, 1)?; // [B, 1]
    let behind = g.sub(cosines, nearest)?;
    let behind = g.div(behind, temperature)?;
    let weights = g.exp(behind)?;
    let weights = g.unsqueeze(weights, &[1])?; // [B, 1, k]
    let votes = g.gather(votes, places)?; // [B, k, K]
    let sums = g.matmul(weights, votes)?; // [B, 1, K]
    let sums = g.squeeze(sums, &[1])?;
    let floor = g.scalar(NEAREST_FLOOR as f32);
    let sums = g.add(sums, floor)?;
    let logits = g.log(sums)?;
    g.add(logits, bias)
}

/// Builds the encoder and returns its last states: `[T, H]`, or `[B, H]` of the first tokens.
pub(super) fn encode(
    b: &mut Builder,
    config: &Config,
    first_token_only: bool,
) -> Result<Var, ShapeError> {
    let encoder = config.encoder;
    let mut x = (encoder.embeddings)(b, config)?; // [T, H]
    x = b.mixed(x, 0, false)?;
    for index in 0..config.layers {
        b.enter_layer(Some(index));
        let is_last = index + 1 == config.layers;
        let first_token_only = is_last && first_token_only;
        x = (encoder.layer)(b, config, Layer { index, below: x, first_token_only })?;
        x = b.mixed(x, index + 1, first_token_only)?;
    }
    if config.layers == 0 && first_token_only {
        x = b.first_tokens(x)?;
    }
    // It is trained where the top layer is.
    if let Some(last) = encoder.last {
        x = last(b, config, x)?;
    }
    b.enter_layer(None);
    Ok(x)
}

/// Lists a graph's parameters with their shapes, in the order of the graph.
pub(super) fn parameters(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    graph.parameters().map(|(name, var)| (name.to_owned(), graph.known_shape(var))).collect()
}
