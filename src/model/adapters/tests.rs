//! Merged weights give the logits of the network with its adapter; without one no graph changes.
