//! The user's request to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The user's request to stop; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks all work to stop after its current step. Returns whether this was asked before.
    pub fn ask(&self) -> bool {
        self.0.swap(true, Ordering::SeqCst)
    }

    /// Returns whether work should stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
