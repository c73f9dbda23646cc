//! `pipe runtime`: says which ONNX Runtime is used, or installs one.

use super::args::{RuntimeAction, RuntimeArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::Preparation;
use super::tables;
use crate::engine::Runtime;
use crate::runner::RunError;

/// Says which library is used, where it lies and what it can, or installs one.
pub fn runtime(args: &RuntimeArgs, printer: &Printer) -> Result<Exit, Failure> {
    let identity = Runtime::identify(args.device).map_err(RunError::from)?;
    let install = matches!(args.action, Some(RuntimeAction::Install));
    if identity.path.is_none() && !install {
        let exit = printer.data(&tables::columns(&[
            vec!["version".into(), identity.version],
            vec!["library".into(), "not installed".into()],
        ]))?;
        printer.status("  hint: `pipe runtime install` installs it, and so does the first run that needs it");
        return Ok(exit);
    }
    let preparation = Preparation::new(printer);
    let runtime = Runtime::get(args.device, 1, &preparation).map_err(RunError::from)?;
    drop(preparation);
    let library =
        runtime.identity.path.as_ref().map_or("unknown".to_owned(), |path| path.display().to_string());
    let training = if runtime.identity.has_training_api {
        "yes"
    } else {
        "no (training runs on sessions; scripts/build-onnxruntime-training.sh builds a library that has it)"
    };
    printer.data(&tables::columns(&[
        vec!["version".into(), runtime.identity.version.clone()],
        vec!["library".into(), library],
        vec!["device".into(), args.device.to_string()],
        vec!["training API".into(), training.into()],
    ]))
}
