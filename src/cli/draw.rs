//! `pipe graph`: prints the graph of a pipeline.

use super::args::GraphArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::graph::{self, GraphFormat};
use super::open;
use super::printer::Printer;

/// Prints the graph of a pipeline.
pub fn draw(args: &GraphArgs, printer: &Printer) -> Result<Exit, Failure> {
    let (_, plan) = open::file(&args.file)?;
    let graph = graph::render(&plan, args.format);
    match args.format {
        GraphFormat::Text => printer.text(graph),
        GraphFormat::Dot | GraphFormat::Mermaid => printer.data(graph),
    }
}
