//! Every operator against its reference.

pub mod harness;
pub mod reference;
mod standard;
mod gradient_parts;
mod composite;

use std::collections::BTreeSet;

use super::LISTED;

/// Walks all operators: output against the double-precision reference, gradient against its finite differences, with both kinds of
/// kernels and with sizes that only the run knows.
#[test]
fn every_operator_equals_its_reference_and_its_gradient_the_differences() {
    let samples: Vec<_> = [standard::samples(), gradient_parts::samples(), composite::samples()]
        .into_iter()
        .flatten()
        .collect();
    let sampled: BTreeSet<&str> = samples.iter().map(|sample| sample.op).collect();
    let listed: BTreeSet<&str> = LISTED.iter().copied().collect();
    assert_eq!(sampled, listed, "each listed operator wants a sample");
    let failures: Vec<String> = samples
        .iter()
        .filter_map(|sample| sample.check().err().map(|error| format!("{sample}: {error}")))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} samples fail:\n{}",
        failures.len(),
        samples.len(),
        failures.join("\n")
    );
}
