//! `pipe` runs declarative experiments for fine-tuning pretrained language models on small samples.
//!
//! The modules below are in reading order, top of the house first, and a module uses only those
//! that stand below it. `tests/suite/tidy.rs` holds which may use which, and ARCHITECTURE.md tells
//! the rest.

pub mod cli;
pub mod report;
pub mod runner;
pub mod dag;
pub mod pipeline;
pub mod predict;
pub mod stages;
pub mod selftest;
pub mod model;
pub mod engine;
pub mod search;
pub mod text;
pub mod classifiers;
pub mod results;
pub mod metrics;
pub mod statistics;
pub mod data;
pub mod base;

pub use predict::{Classifier, ClassifierError};
