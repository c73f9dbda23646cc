//! `pipe runtime`: shows which ONNX Runtime is used, installs one, or tests a device.

use std::path::Path;

use super::args::{RuntimeAction, RuntimeArgs};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::Preparation;
use super::tables;
use crate::base::files::write_atomic;
use crate::base::report::Report;
use crate::engine::runtime::cuda::Driver;
use crate::engine::{Device, Runtime, RuntimeIdentity};
use crate::runner::RunError;
use crate::selftest::{self, Findings, Outcome};

/// Shows the library, its path and its features; installs one, or tests a device.
pub fn runtime(args: &RuntimeArgs, printer: &Printer) -> Result<Exit, Failure> {
    let preparation = Preparation::new(printer);
    let prepare = args.action.is_some().then_some(&preparation as &dyn Report);
    let (device, reason) = Runtime::decide(args.device, prepare).map_err(RunError::from)?;
    if let Some(reason) = reason {
        printer.status(&reason);
    }
    match &args.action {
        Some(RuntimeAction::Install { cuda }) => {
            let device = if *cuda && device == Device::Cpu { Device::Cuda(0) } else { device };
            Runtime::install(device, &preparation).map_err(RunError::from)?;
            drop(preparation);
            let identity = Runtime::identify(device).map_err(RunError::from)?;
            // This also works without a GPU: the machine may share its home with one that has GPUs,
            // or be built as an image for one.
            match Runtime::driver(device, &identity) {
                Ok(_) => describe(device, printer),
                Err(missing) => {
                    printer.status(&format!(
                        "installed, but not usable on this machine yet: {missing}"
                    ));
                    printer.text(tables::columns(&about(&identity, device)))
                }
            }
        }
        Some(RuntimeAction::Check { json }) => {
            drop(preparation);
            check(device, json.as_deref(), printer)
        }
        None => {
            drop(preparation);
            let identity = Runtime::identify(device).map_err(RunError::from)?;
            if identity.path.is_some() {
                return describe(device, printer);
            }
            // Checked first, so that nobody downloads gigabytes for a GPU that cannot be used.
            let driver = Runtime::driver(device, &identity).map_err(RunError::from)?;
            let mut rows = vec![
                vec!["version".into(), identity.version],
                vec!["library".into(), "not installed".into()],
            ];
            rows.extend(driver.iter().flat_map(gpus));
            let exit = printer.text(tables::columns(&rows))?;
            printer.status(
                "  hint: `pipe runtime install` installs it; so does the first run that needs it",
            );
            Ok(exit)
        }
    }
}

/// Returns the table rows that describe a library.
fn about(identity: &RuntimeIdentity, device: Device) -> Vec<Vec<String>> {
    let library =
        identity.path.as_ref().map_or("unknown".to_owned(), |path| path.display().to_string());
    let training = if identity.has_training_api {
        "yes"
    } else {
        "no (training runs on inference sessions; scripts/build-onnxruntime-training.sh builds a \
         library with it)"
    };
    vec![
        vec!["version".into(), identity.version.clone()],
        vec!["library".into(), library],
        vec!["device".into(), device.to_string()],
        vec!["training API".into(), training.into()],
    ]
}

/// Returns the table rows that describe a driver and its GPUs.
fn gpus(Driver { cuda: (major, minor), gpus }: &Driver) -> Vec<Vec<String>> {
    let mut rows = vec![vec!["driver".into(), format!("for CUDA {major}.{minor}")]];
    let numbered = gpus.iter().enumerate();
    rows.extend(numbered.map(|(number, gpu)| vec![format!("cuda:{number}"), gpu.describe()]));
    rows
}

fn describe(device: Device, printer: &Printer) -> Result<Exit, Failure> {
    let preparation = Preparation::new(printer);
    let runtime = Runtime::get(device, 1, &preparation).map_err(RunError::from)?;
    drop(preparation);
    let mut rows = about(&runtime.identity, device);
    rows.extend(runtime.driver.iter().flat_map(gpus));
    printer.text(tables::columns(&rows))
}

/// Tests a device, prints the findings, and writes them to a file if asked to.
fn check(device: Device, json: Option<&Path>, printer: &Printer) -> Result<Exit, Failure> {
    let threads = super::open::threads(None);
    let preparation = Preparation::new(printer);
    let runtime = Runtime::get(device, threads, &preparation).map_err(RunError::from)?;
    let findings = selftest::run(runtime, device, &preparation);
    drop(preparation);
    if let Some(path) = json {
        let mut bytes = serde_json::to_vec_pretty(&findings).map_err(std::io::Error::from)?;
        bytes.push(b'\n');
        write_atomic(path, &bytes).map_err(RunError::from)?;
    }
    printer.text(table(&findings))?;
    match findings.is_sound() {
        true => Ok(Exit::Success),
        false => {
            printer.status(&format!("`{device}` does not train correctly"));
            Ok(Exit::Failed)
        }
    }
}

fn table(findings: &Findings) -> String {
    let mut rows = vec![vec!["device".to_owned(), findings.device.clone()]];
    rows.extend(findings.gpu.iter().map(|gpu| vec!["GPU".to_owned(), gpu.clone()]));
    rows.push(vec!["library".to_owned(), findings.library.clone()]);
    let mut text = tables::columns(&rows);
    let checks: Vec<Vec<String>> = findings
        .checks
        .iter()
        .map(|check| {
            let outcome = match check.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            vec![outcome.to_owned(), check.name.clone(), check.detail.clone()]
        })
        .collect();
    text.push_str(&tables::columns(&checks));
    let speeds: Vec<Vec<String>> = findings
        .speeds
        .iter()
        .map(|speed| {
            vec![
                format!("{} {}×{}", speed.model, speed.batch, speed.length),
                speed.precision.to_owned(),
                speed.backend.to_owned(),
                format!("{:.1} ms a step", speed.step_ms),
                format!("{:.0} examples/s", speed.examples_per_second),
            ]
        })
        .collect();
    text.push_str(&tables::columns(&speeds));
    text
}
