//! What differs between the surroundings of a run and those of its replay.

use crate::runner::record::provenance::{Git, Machine, Provenance, RuntimeRecord};

/// Lists what differs around a run, one line each. `runtime` is that of the replay, if a stage uses
/// one.
pub(super) fn differences(
    run: &Provenance,
    runtime: Option<&RuntimeRecord>,
    git: Option<&Git>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, then: String, now: String| {
        if then != now {
            lines.push(format!("{what}: {then} then, {now} now"));
        }
    };
    let (then, now) = (&run.machine, Machine::here());
    let system = |machine: &Machine| format!("{} on {}", machine.os, machine.architecture);
    compare("version of `pipe`", run.pipe_version.clone(), env!("CARGO_PKG_VERSION").to_owned());
    compare("system", system(then), system(&now));
    let processor = |machine: &Machine| machine.cpu.clone().unwrap_or_else(|| "unknown".to_owned());
    compare("processor", processor(then), processor(&now));
    if let (Some(then), Some(now)) = (&run.runtime, runtime) {
        compare("version of ONNX Runtime", then.version.clone(), now.version.clone());
        let digest = |record: &RuntimeRecord| {
            record.digest.map_or_else(|| "unknown".to_owned(), |digest| digest.short())
        };
        compare("library of ONNX Runtime", digest(then), digest(now));
    }
    if let (Some(then), Some(now)) = (&run.git, git) {
        compare("commit", then.commit.clone(), now.commit.clone());
    }
    if processor(then) != processor(&now) || system(then) != system(&now) {
        lines.push(
            "another kind of processor adds and multiplies in another order: the last bits of \
             weights, losses and probabilities may differ there, and so what follows from them; \
             splits, shots and generated texts of methods without a model may not"
                .to_owned(),
        );
    }
    lines
}
