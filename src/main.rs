//! The program `pipe`: everything lives in the library, so that tests and benches see what users
//! get.

fn main() {
    without_telemetry();
    let exit = pipe::cli::main();
    pipe::cli::signals::leave(exit)
}

/// Turns off the telemetry of ONNX Runtime, unless the environment says otherwise. It would send
/// data from the user's machine, and its timer hangs where the clock is beyond the year 2262.
#[expect(unsafe_code, reason = "ONNX Runtime reads this setting from the environment alone")]
fn without_telemetry() {
    const SETTING: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(SETTING).is_none() {
        // SAFETY: this is the first thing that the program does, so no other thread is reading the
        // environment.
        unsafe { std::env::set_var(SETTING, "1") };
    }
}
