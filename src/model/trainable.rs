//! A network with the loss that it is trained by.

use super::encoders::Config;
use super::encoders::parts::builder::NetworkOptions;
use super::network::Network;
use super::sentences::HeadForm;
use crate::engine::backend::training_api::artifacts::{LOGITS, LOSS};
use crate::engine::{EngineError, Graph, ShapeError, Var};

/// A network with its scalar loss.
#[derive(Debug)]
pub struct TrainableNetwork {
    pub network: Network,
    pub loss: Var,
}

impl TrainableNetwork {
    /// Adds a loss to a network.
    ///
    /// # Errors
    ///
    /// Fails where the loss does.
    pub fn new(
        mut network: Network,
        add_loss: impl FnOnce(&mut Network) -> Result<Var, ShapeError>,
    ) -> Result<TrainableNetwork, EngineError> {
        let loss = add_loss(&mut network)?;
        Ok(TrainableNetwork { network, loss })
    }

    /// Builds a classifier that is trained by cross-entropy with the input `targets` `[B, K]`.
    ///
    /// # Errors
    ///
    /// Fails where the configuration makes no network.
    pub fn classifier(
        config: &Config,
        form: impl Into<HeadForm>,
        labels: usize,
        options: NetworkOptions,
    ) -> Result<TrainableNetwork, EngineError> {
        TrainableNetwork::new(Network::new(config, form, labels, options)?, |network| {
            network.graph.weighted_cross_entropy(network.output)
        })
    }

    /// Returns the graph with the network's output under the name `logits`.
    pub fn graph_of_logits(mut self) -> Graph {
        self.network.graph.output(LOGITS, self.network.output);
        self.network.graph
    }

    /// Returns the graph with the outputs `loss` and `logits`, which evaluates for the training
    /// API.
    pub fn graph_of_both(mut self) -> Graph {
        self.network.graph.output(LOSS, self.loss);
        self.graph_of_logits()
    }
}
