//! Classifiers on embeddings that are already computed. Pure functions of numbers.
//!
//! Dimensions: `N` points, `E` numbers of each, `K` classes. Everything is `f64`, runs in one
//! thread and adds in a fixed order.

pub mod points;
pub mod error;
mod numeric;
pub mod logistic_regression;
pub mod lda;
pub mod prototypes;
pub mod neighbours;
pub mod folds;
pub mod choose;
pub mod temperature;
pub mod prior;
pub mod auto;
#[cfg(test)]
mod tests;

pub use auto::{Auto, Candidate, Kind};
pub use choose::{Choice, Row, c_by_folds};
pub use error::ClassifierError;
pub use folds::{out_of_fold, stratified};
pub use lda::{Lda, Prior, Shrinkage};
pub use logistic_regression::balanced;
pub use neighbours::Neighbours;
pub use numeric::score::{Score, log_probabilities, score};
pub use points::{Linear, Part, Points};
pub use prototypes::Prototypes;
