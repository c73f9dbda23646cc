//! What the loop is given, and what it gives.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use crate::data::Curves;
use crate::model::input_layout::InputLayout;
use crate::stages::train::objective::Objective;
use crate::stages::train::settings::Settings;
use crate::text::{Combine, TokenizedText};

/// What is trained on, and how.
pub struct Job<'a> {
    pub settings: &'a Settings,
    pub objective: &'a dyn Objective,
    pub train_tokens: &'a [TokenizedText],
    pub dev_tokens: &'a [TokenizedText],
    /// What the logits of a text's windows become, where texts may have several.
    pub combine: Option<Combine>,
    pub layout: InputLayout,
    /// The learning rate of each parameter group before the schedule. The curves show the first.
    pub learning_rates: Vec<f64>,
    /// Whether an interrupted training can go on: on the host with the very numbers of one that was
    /// not, on a GPU with other dropout masks. Else it starts anew.
    pub resumes: bool,
    /// Whether a batch may be computed in micro-batches whose gradients are added up.
    pub splits: bool,
    /// About how many bytes the trained parameters and the optimizer's state have.
    pub state_bytes: u64,
}

/// What came out.
pub struct Fitted {
    /// The trained parameters of the epoch that is kept, by name.
    pub trained: BTreeMap<String, ArrayD<f32>>,
    pub curves: Curves,
    pub steps: u64,
    /// The steps up to the epoch that is kept.
    pub kept_steps: usize,
    /// What the weights after each step count in the averages that are kept; empty where those of
    /// one step are.
    pub shares: Vec<Option<f32>>,
    pub seconds: f64,
    pub best_epoch: Option<u32>,
    /// The texts that the network has read, each as often as it was read.
    pub encodings: u64,
    /// The most micro-batches that a batch was computed in.
    pub micro_batches: usize,
    /// The numbers of the steps that were left out because gradients overflowed.
    pub skipped: Vec<u64>,
}
