//! Tests of all classifiers.

mod recorded;
mod properties;
