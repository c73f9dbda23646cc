//! The optimizer and the trainer on small networks.

mod optimizer;
mod training;
mod refusals;
mod network;
