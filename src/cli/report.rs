//! `pipe report`: writes a report.

use crate::base::files::write_atomic;
use crate::cli::args::ReportArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::printer::Printer;
use crate::cli::sources;
use crate::report::content::gather::{Gathered, Request, gather};
use crate::report::page::page;
use crate::runner::Project;

const NAME: &str = "report.html";

/// Writes the results of runs as one HTML file, and its path to stdout.
pub fn report(args: &ReportArgs, printer: &Printer) -> Result<Exit, Failure> {
    let request = Request {
        sources: &sources::read(&args.runs)?,
        project: &Project::here()?,
        metric: args.metric.as_deref(),
        split: args.split.as_deref(),
        baseline: args.baseline.as_deref(),
        different_tests: args.different_tests,
    };
    let Gathered { content, folder } = gather(&request)?;
    let path = args.output.clone().unwrap_or_else(|| folder.join(NAME));
    if path.is_dir() {
        let hint = format!("name the file, such as `{}`", path.join(NAME).display());
        return Err(Failure::usage(format!("`{}` is a folder", path.display()), Some(hint)));
    }
    let page = page(&content);
    write_atomic(&path, page.as_bytes())?;
    let comparison = &content.comparison;
    let recipes = match comparison.compared {
        1 => "1 recipe".to_owned(),
        count => format!("{count} recipes"),
    };
    content.gaps.iter().for_each(|gap| printer.warning(gap));
    printer.status(&format!(
        "report of {recipes} by {} on {}: {} kB in one file",
        comparison.metric,
        comparison.split,
        page.len().div_ceil(1000)
    ));
    printer.path(&path)
}
