//! `pipe schema`: prints what a pipeline file may hold.

use super::args::SchemaArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::pipeline;

/// Prints the JSON Schema of the pipeline file, or a page for people that explains every key.
pub fn schema(args: &SchemaArgs, printer: &Printer) -> Result<Exit, Failure> {
    let text = if args.markdown { pipeline::reference() } else { pipeline::schema() };
    printer.data(text)
}
