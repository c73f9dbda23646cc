//! Models of the Hugging Face hub, through the cache that Python's `huggingface_hub` uses too.

mod resolve;
mod settings;
mod address;
mod client;
mod download;
mod cache;
#[cfg(test)]
mod tests;

pub use resolve::{resolve, snapshot};
