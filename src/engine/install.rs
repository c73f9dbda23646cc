//! The ONNX Runtime that `pipe` installs for itself, from its pinned wheel.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::library;
use super::runtime::RuntimeError;
use crate::base::files::create_folder_atomic;
use crate::base::home::pipe_home;
use crate::base::lock::locked;
use crate::base::report::Report;
use crate::base::wheel::{self, Wheel, WheelError};

/// The version that is installed.
pub const VERSION: &str = "1.31.1";

/// The wheel of one platform.
#[derive(Debug)]
struct Pin {
    system: &'static str,
    machine: &'static str,
    platform: &'static str,
    sha256: &'static str,
    /// The library's name, in the wheel and where it is installed.
    library: &'static str,
}

/// The wheels of [`VERSION`] for CPython 3.12, as the package index gives their digests. No code of the wheel's for Python is used.
const PINS: [Pin; 4] = [
    Pin {
        system: "linux",
        machine: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library: "libonnxruntime.so.1.31.1",
    },
    Pin {
        system: "linux",
        machine: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library: "libonnxruntime.so.1.31.1",
    },
    Pin {
        system: "macos",
        machine: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        library: "libonnxruntime.1.31.1.dylib",
    },
    Pin {
        system: "windows",
        machine: "x86_64",
        platform: "win_amd64",
        sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        library: "onnxruntime.dll",
    },
];

/// Returns the installed library, where there is one.
pub fn installed() -> Result<Option<PathBuf>, RuntimeError> {
    let path = folder().join(pin()?.library);
    Ok(path.is_file().then_some(path))
}

/// Installs the library unless it is there, and returns it. Two processes at once install it once.
pub fn install(report: &dyn Report) -> Result<PathBuf, RuntimeError> {
    let pin = pin()?;
    let folder = folder();
    locked(&pipe_home().join("locks/runtime"), || {
        if let Some(path) = installed()? {
            return Ok(path);
        }
        if folder.exists() {
            // Whole folders come by rename: one without the library was taken apart by hand.
            fs::remove_dir_all(&folder)?;
        }
        fetch_into(pin, &folder, report)?;
        let path = folder.join(pin.library);
        library::check_file(&path)?;
        report.note(&format!("installed ONNX Runtime {VERSION} in `{}`", folder.display()));
        Ok(path)
    })?
}

fn fetch_into(pin: &Pin, folder: &Path, report: &dyn Report) -> Result<(), RuntimeError> {
    let failed = |source: WheelError| RuntimeError::Install { source };
    let wheel = Wheel {
        name: "onnxruntime",
        version: Some(VERSION),
        sha256: Some(pin.sha256),
        platform: Some(pin.platform),
    };
    let scratch = tempfile::tempdir()?;
    let file = wheel::fetch(&wheel, scratch.path(), report).map_err(failed)?;
    create_folder_atomic(folder, |into| {
        let count = wheel::extract(&file, into, shared_library).map_err(failed)?;
        if count == 0 || !into.join(pin.library).is_file() {
            let detail = format!("it has no `onnxruntime/capi/{}`", pin.library);
            return Err(failed(WheelError::Archive { file: wheel.requirement(), detail }));
        }
        Ok(())
    })
}

/// Picks ONNX Runtime's own shared libraries and leaves Python's extension module behind.
fn shared_library(member: &str) -> Option<PathBuf> {
    let name = member.strip_prefix("onnxruntime/capi/")?;
    let wanted = (name.starts_with("libonnxruntime") || name.starts_with("onnxruntime"))
        && (name.contains(".so") || name.ends_with(".dylib") || name.ends_with(".dll"))
        && !name.contains("pybind11");
    (wanted && !name.contains('/')).then(|| PathBuf::from(name))
}

fn folder() -> PathBuf {
    pipe_home().join("runtimes").join(format!("onnxruntime-{VERSION}"))
}

fn pin() -> Result<&'static Pin, RuntimeError> {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    PINS.iter()
        .find(|pin| pin.system == system && pin.machine == machine)
        .ok_or(RuntimeError::UnknownPlatform { system, machine })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_the_shared_libraries() {
        let kept = |name: &str| shared_library(&format!("onnxruntime/capi/{name}")).is_some();
        assert!(kept("libonnxruntime.so.1.31.1"));
        assert!(kept("libonnxruntime_providers_shared.so"));
        assert!(kept("libonnxruntime.1.31.1.dylib"));
        assert!(kept("onnxruntime.dll"));
        assert!(!kept("onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so"));
        assert!(!kept("onnxruntime_pybind11_state.pyd"));
        assert!(!kept("training/libonnxruntime.so"));
        assert!(shared_library("onnxruntime/backend/libonnxruntime.so").is_none());
    }
}
