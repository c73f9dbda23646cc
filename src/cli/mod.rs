//! The command line.

pub mod args;
pub mod exit;
pub mod signals;
pub mod seeds;
pub mod failure;
pub mod printer;
pub mod bar;
pub mod progress;
pub mod tables;
pub mod open;
pub mod run;
pub mod sweep;
pub mod sweep_progress;
pub mod validate;
pub mod graph;
pub mod draw;
pub mod show;
pub mod augmented;
pub mod sources;
pub mod compare;
pub mod report;
pub mod list;
pub mod why;
pub mod init;
pub mod trained;
pub mod predict;
pub mod artifacts;
pub mod replay;
pub mod verify;
pub mod model;
pub mod runtime;
pub mod gc;
pub mod schema;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use exit::Exit;
use failure::Failure;
use printer::Printer;

use crate::base::cut::{visible, visible_line};

/// Runs the program with the process's arguments.
pub fn main() -> Exit {
    signals::prepare();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // Help goes to stdout and is a success; a closed pipe is not an error.
            let _ = harmless(error).print();
            return exit;
        }
    };
    // The scheduler turns a panic into an error that names the stage; the default report would
    // repeat it.
    std::panic::set_hook(Box::new(|_| {}));
    let printer = Printer::new(cli.quiet, cli.verbose);
    let ended =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dispatch(&cli.command, &printer)));
    match ended {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            printer.failure(&failure);
            failure.exit()
        }
        Err(payload) => {
            let failure = Failure::internal(&*payload);
            printer.failure(&failure);
            failure.exit()
        }
    }
}

/// Returns the error of the same arguments as a terminal may get them: `clap` quotes them as they
/// are, between colours of its own.
fn harmless(error: clap::Error) -> clap::Error {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| visible_line(&argument.to_string_lossy()).into_owned())
        .collect();
    Cli::try_parse_from(arguments).err().unwrap_or_else(|| {
        clap::Error::raw(error.kind(), format!("{}\n", visible(&error.render().to_string())))
    })
}

fn dispatch(command: &Command, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::init(args, printer),
        Command::Run(args) => run::run(args, printer),
        Command::Sweep(args) => sweep::sweep(args, printer),
        Command::Validate(args) => validate::validate(args, printer),
        Command::Graph(args) => draw::draw(args, printer),
        Command::Why(args) => why::why(args, printer),
        Command::Predict(args) => predict::predict(args, printer),
        Command::Artifacts(args) => artifacts::artifacts(args, printer),
        Command::Show(args) => show::show(args, printer),
        Command::Compare(args) => compare::compare(args, printer),
        Command::Report(args) => report::report(args, printer),
        Command::Ls(args) => list::list(args, printer),
        Command::Verify(args) => verify::verify(args, printer),
        Command::Gc(args) => gc::gc(args, printer),
        Command::Schema(args) => schema::schema(args, printer),
        Command::Model(args) => model::model(args, printer),
        Command::Runtime(args) => runtime::runtime(args, printer),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pipe", &mut script);
            printer.data(String::from_utf8_lossy(&script))
        }
    }
}
