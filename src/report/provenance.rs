//! The provenance of the numbers.

use maud::{Markup, html};

use super::chart::number;
use super::content::content::RunContent;
use crate::base::clock;
use crate::runner::record::provenance::Provenance;

/// Returns the recorded facts of each run.
pub fn provenance(runs: &[RunContent]) -> Markup {
    html! {
        @for run in runs {
            @if runs.len() > 1 { h3 { (run.provenance.run) } }
            (facts(run))
            @if !run.provenance.data.is_empty() { (data(&run.provenance)) }
            @if let Some(resolved) = &run.resolved {
                details {
                    summary { "The resolved pipeline file" }
                    pre tabindex="0" { code { (resolved) } }
                }
            }
        }
    }
}

fn facts(run: &RunContent) -> Markup {
    let about = &run.provenance;
    html! {
        dl.facts {
            (fact("run", html! { (about.run) " (" (run.status) ")" }))
            (fact("pipeline", html! { (about.pipeline) }))
            (fact("command", html! { code { (command(&about.command)) } }))
            (fact("started", html! { (about.started) }))
            @if about.finished.is_some() {
                (fact("took", html! { (clock::duration(about.seconds)) }))
            }
            (fact("seeds", html! { (seeds(&about.seeds)) }))
            (fact("pipe", html! { (about.pipe_version) }))
            @if let Some(runtime) = &about.runtime {
                (fact("ONNX Runtime", html! {
                    (runtime.version)
                    @if let Some(digest) = &runtime.digest {
                        " " code.quiet title=(digest) { (digest.short()) }
                    }
                }))
            }
            (fact("device", html! {
                (about.device) ", " (number::count(about.threads, "thread", "threads"))
            }))
            (fact("machine", html! {
                @if let Some(cpu) = &about.machine.cpu { (cpu) ", " }
                (number::count(about.machine.cores, "core", "cores"))
                ", " (about.machine.os) " " (about.machine.architecture)
            }))
            @if let Some(git) = &about.git {
                (fact("git", html! {
                    code { (git.commit) }
                    @if git.dirty { " with uncommitted changes" }
                }))
            }
            (fact("stages", html! { (stages(about)) }))
            @if let Some(error) = &about.error { (fact("error", html! { (error) })) }
        }
    }
}

fn fact(name: &str, value: Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}

fn data(about: &Provenance) -> Markup {
    html! {
        div.wide {
            table.plain {
                caption { "Inputs, with the BLAKE3 digests of their contents" }
                thead { tr { th scope="col" { "file or model" } th scope="col" { "digest" } } }
                tbody {
                    @for external in &about.data {
                        tr { td { (external.name) } td { code { (external.digest) } } }
                    }
                }
            }
        }
    }
}

/// Counts stages by outcome, in the order of first appearance.
fn stages(about: &Provenance) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for stage in &about.stages {
        match counts.iter_mut().find(|(outcome, _)| *outcome == stage.outcome) {
            Some((_, count)) => *count += 1,
            None => counts.push((&stage.outcome, 1)),
        }
    }
    let parts: Vec<String> =
        counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    parts.join(", ")
}

/// Writes a command as a shell reads it; the program's path is shortened to its name.
fn command(words: &[String]) -> String {
    let word = |(index, word): (usize, &String)| {
        let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
        let word = if index == 0 { name } else { word };
        let is_plain = !word.is_empty()
            && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,+@%".contains(c));
        if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// Writes seeds; a long list is cut to the first few and its length.
pub fn seeds(seeds: &[u64]) -> String {
    const SHOWN: usize = 12;
    let text: Vec<String> = seeds.iter().take(SHOWN).map(u64::to_string).collect();
    match seeds.len() {
        count if count > SHOWN => format!("{} … ({count})", text.join(", ")),
        _ => text.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again() {
        let words = ["/usr/bin/pipe", "run", "a b.yaml", "-S", "name='x'", ""].map(str::to_owned);
        assert_eq!(command(&words), "pipe run 'a b.yaml' -S 'name='\\''x'\\''' ''");
        assert_eq!(seeds(&[1, 2]), "1, 2");
        assert!(seeds(&(0..100).collect::<Vec<u64>>()).ends_with("10, 11 … (100)"));
    }
}
