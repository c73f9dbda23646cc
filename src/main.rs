//! The program `pipe`: everything lives in the library, so that tests and benches see what users
//! get.

use std::process::ExitCode;

fn main() -> ExitCode {
    pipe::cli::main()
}
