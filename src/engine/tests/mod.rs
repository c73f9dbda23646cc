//! The optimizer and the trainer on small networks.

mod optimizer;
mod precision;
mod training;
mod training_api;
mod refusals;
mod network;
