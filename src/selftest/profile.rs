//! The copies of a training step between host and device, by ONNX Runtime's own profile.

use std::collections::BTreeMap;

use serde_json::Value;

use super::subject::{Subject, steps};
use super::training::SMALL;
use crate::base::scratch::Scratch;
use crate::engine::{EngineError, Kernels, Place, Precision, Runtime};
use crate::selftest::Verdict;

/// Looks for copies within a step. Bound inputs (tokens, masks, labels, the learning rate) are
/// copied before it, losses and norms after it.
pub(super) fn copies(
    runtime: &Runtime,
    place: Place,
    precision: Precision,
) -> Result<Verdict, EngineError> {
    if (place, precision) == (Place::Host, Precision::Tf32) {
        return Ok(Verdict::Impossible("only for GPUs".to_owned()));
    }
    let folder = Scratch::anywhere()?;
    let subject =
        Subject { kernels: Kernels::Standard, ..Subject::of(SMALL, place, precision, 0.1) };
    let mut trainer = subject.sessions(runtime, Some(folder.path()))?;
    steps(&mut trainer, runtime, SMALL, 0..2)?;
    let mut nodes: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for file in trainer.end_profiles()? {
        let events: Vec<Value> =
            serde_json::from_slice(&fs_err::read(file)?).map_err(std::io::Error::from)?;
        for event in events.iter().filter(|event| event["cat"] == "Node") {
            let text = |name: &str| event["args"][name].as_str().unwrap_or_default().to_owned();
            let (op, provider) = (text("op_name"), text("provider"));
            if !provider.is_empty() {
                *nodes.entry(provider).or_default().entry(op).or_default() += 1;
            }
        }
    }
    let is_copy = |op: &str| op.starts_with("Memcpy");
    let copies: usize = nodes
        .values()
        .flat_map(|ops| ops.iter().filter(|(op, _)| is_copy(op)).map(|(_, count)| count))
        .sum();
    let shares: Vec<String> = nodes
        .iter()
        .map(|(provider, ops)| {
            let mut names: Vec<&str> = ops.keys().map(String::as_str).collect();
            names.truncate(12);
            format!("{provider} ran {} nodes ({})", ops.values().sum::<usize>(), names.join(", "))
        })
        .collect();
    let detail = format!("{copies} copies in two steps; {}", shares.join("; "));
    Ok(if copies == 0 && !nodes.is_empty() {
        Verdict::Sound(detail)
    } else {
        Verdict::Wrong(detail)
    })
}
