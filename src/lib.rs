//! `pipe` runs declarative experiments for fine-tuning pretrained language models on small samples.
//!
//! The modules below are in reading order, top of the house first. A module uses only those that
//! stand below it: `cli`, `runner`, `dag`, `spec`, `stages`, `model`, `engine`, `base`. `text` and
//! `table` stand beside `model`, are used by `stages`, `runner` and `cli`, and themselves use only
//! `base`; `search` stands beside `stages` and is used by those above; `selftest` stands upon
//! `model` and is used by `cli` alone. `tests/suite/tidy.rs` fails on an edge that goes up.
//! ARCHITECTURE.md tells the rest.

pub mod cli;
pub mod runner;
pub mod dag;
pub mod spec;
pub mod stages;
pub mod selftest;
pub mod model;
pub mod engine;
pub mod search;
pub mod text;
pub mod table;
pub mod base;
