//! `pipe graph`: prints the graph of a pipeline.

use super::args::GraphArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::{graph, open};

/// Prints the graph of a pipeline.
pub fn draw(args: &GraphArgs, printer: &Printer) -> Result<Exit, Failure> {
    let (_, plan) = open::file(&args.file)?;
    printer.data(&graph::render(&plan, args.format))
}
