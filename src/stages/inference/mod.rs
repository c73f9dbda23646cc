//! Forward passes: predictions of a trained model, and states of a frozen encoder.

pub mod predict;
pub mod texts;
pub mod vectors;
pub mod kept;
pub mod vector_head;
pub mod trained;
pub mod frozen;
