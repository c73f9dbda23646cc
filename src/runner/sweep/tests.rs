//! Whole sweeps.
