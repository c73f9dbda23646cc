//! Every operator at work, with a reference in double precision: what the tests and the self-test
//! of a device walk through.
#![expect(
    clippy::expect_used,
    reason = "a sample whose sizes do not go together is found by the test that walks them all"
)]

pub mod harness;
pub mod reference;
mod standard;
mod gradient_parts;
mod composite;
mod pooling;

use harness::Sample;

use crate::engine::backend::place::Place;
use crate::engine::runtime::runtime::Runtime;

/// What came of a sample.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The operator.
    pub op: &'static str,
    /// The operator with the shapes of its operands.
    pub sample: String,
    /// What is wrong.
    pub problem: Option<String>,
}

/// Walks all operators: output against the double-precision reference, gradient against its finite
/// differences, as standard operators at a place and with the fused kernels of the host, with sizes
/// that only the run knows among them.
pub fn check(runtime: &Runtime, place: Place) -> Vec<Checked> {
    samples()
        .iter()
        .map(|sample| Checked {
            op: sample.op,
            sample: sample.to_string(),
            problem: sample.check(runtime, place).err(),
        })
        .collect()
}

fn samples() -> Vec<Sample> {
    [standard::samples(), gradient_parts::samples(), composite::samples(), pooling::samples()]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::graph::op::LISTED;

    #[test]
    fn every_operator_equals_its_reference_and_its_gradient_the_differences() {
        let checked = check(harness::runtime(), Place::Host);
        let sampled: BTreeSet<&str> = checked.iter().map(|checked| checked.op).collect();
        let listed: BTreeSet<&str> = LISTED.iter().copied().collect();
        assert_eq!(sampled, listed, "each listed operator wants a sample");
        let failures: Vec<String> = checked
            .iter()
            .filter_map(|checked| {
                Some(format!("{}: {}", checked.sample, checked.problem.as_ref()?))
            })
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {} samples fail:\n{}",
            failures.len(),
            checked.len(),
            failures.join("\n")
        );
    }
}
