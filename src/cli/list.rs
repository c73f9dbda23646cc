//! `pipe ls`: lists the runs.

use serde_json::json;

use super::args::LsArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::tables;
use crate::base::clock;
use crate::runner::Project;
use crate::runner::record::runs::{self, Run, Survey, Unreadable};

/// Lists the runs, newest first.
pub fn list(args: &LsArgs, printer: &Printer) -> Result<Exit, Failure> {
    let project = Project::here()?;
    let Survey { mut runs, unreadable, .. } = runs::survey(&project)?;
    for Unreadable { folder, reason } in &unreadable {
        printer.warning(&format!("`{}` cannot be read: {reason}", project.relative(folder)));
    }
    runs.truncate(args.top.unwrap_or(usize::MAX));
    if args.json {
        let rows: Vec<_> = runs.iter().map(object).collect();
        let text = serde_json::to_string_pretty(&rows).map_err(std::io::Error::from)?;
        return printer.data(format!("{text}\n"));
    }
    if runs.is_empty() {
        printer.status(&format!("no runs in `{}`", project.runs().display()));
        return Ok(Exit::Success);
    }
    let head = ["run", "status", "name", "seeds", "best", "time"].map(str::to_owned).to_vec();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(runs.iter().map(line)).collect();
    printer.text(tables::columns(&lines))
}

fn line(run: &Run) -> Vec<String> {
    let about = &run.provenance;
    let best = about.best.as_ref();
    vec![
        about.run.clone(),
        run.status().to_owned(),
        about.name.clone(),
        seeds(&about.seeds),
        best.map_or("-".to_owned(), |best| {
            format!("{} {:.4} ({})", best.metric, best.value, best.stage)
        }),
        if about.finished.is_some() { clock::duration(about.seconds) } else { "-".to_owned() },
    ]
}

fn object(run: &Run) -> serde_json::Value {
    let about = &run.provenance;
    json!({
        "run": about.run,
        "status": run.status(),
        "name": about.name,
        "pipeline": about.pipeline,
        "started": about.started,
        "seconds": about.finished.as_ref().map(|_| about.seconds),
        "seeds": about.seeds,
        "best": about.best,
        "error": about.error,
    })
}

/// Writes seeds in the form that `--seeds` accepts.
fn seeds(seeds: &[u64]) -> String {
    match seeds {
        [first, .., last]
            if seeds.len() > 2 && seeds.windows(2).all(|pair| pair[1] == pair[0] + 1) =>
        {
            format!("{first}..{last}")
        }
        _ => seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_written_as_they_are_read() {
        for text in ["7", "1,2", "0..4", "13,21,42", "4,3,2"] {
            let read: crate::cli::seeds::Seeds =
                text.parse().unwrap_or(crate::cli::seeds::Seeds(Vec::new()));
            assert_eq!(seeds(&read.0), text);
        }
    }
}
