//! Installs `pipe`'s own ONNX Runtime, and the CUDA libraries beside it, from pinned wheels.

use super::version::VERSION;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::device::Device;
use super::error::RuntimeError;
use super::{library, receipt};
use crate::base::files::place_folder;
use crate::base::home::{HomeError, pipe_home};
use crate::base::lock::locked;
use crate::base::report::Report;
use crate::base::scratch::Scratch;
use crate::base::wheel::{self, Wheel, WheelError};

/// The processors that an ONNX Runtime supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Cpu,
    /// NVIDIA GPUs too.
    Gpu,
}

impl Kind {
    /// Returns the kind that a device needs.
    pub fn of(device: Device) -> Kind {
        if matches!(device, Device::Cuda(_)) { Kind::Gpu } else { Kind::Cpu }
    }

    fn package(self) -> &'static str {
        match self {
            Kind::Cpu => "onnxruntime",
            Kind::Gpu => "onnxruntime-gpu",
        }
    }
}

/// The wheel of one platform.
#[derive(Debug)]
struct Pin {
    kind: Kind,
    system: &'static str,
    machine: &'static str,
    platform: &'static str,
    sha256: &'static str,
    /// The library's name, in the wheel and where it is installed.
    library: &'static str,
}

/// The wheels of [`VERSION`] for CPython 3.12, with the digests of the package index. None of their
/// Python code is used.
const PINS: [Pin; 5] = [
    Pin {
        kind: Kind::Cpu,
        system: "linux",
        machine: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library: "libonnxruntime.so.1.31.1",
    },
    Pin {
        kind: Kind::Cpu,
        system: "linux",
        machine: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library: "libonnxruntime.so.1.31.1",
    },
    Pin {
        kind: Kind::Cpu,
        system: "macos",
        machine: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        library: "libonnxruntime.1.31.1.dylib",
    },
    Pin {
        kind: Kind::Cpu,
        system: "windows",
        machine: "x86_64",
        platform: "win_amd64",
        sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        library: "onnxruntime.dll",
    },
    Pin {
        kind: Kind::Gpu,
        system: "linux",
        machine: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
        library: "libonnxruntime.so.1.31.1",
    },
];

/// A wheel with CUDA libraries for Linux on x86-64.
#[derive(Debug)]
struct CudaPin {
    name: &'static str,
    version: &'static str,
    platform: &'static str,
    sha256: &'static str,
    libraries: &'static [&'static str],
}

/// NVIDIA's own wheels of CUDA 13.2; drivers for any CUDA 13 can run them.
const CUDA_PINS: [CudaPin; 4] = [
    CudaPin {
        name: "nvidia-cuda-runtime",
        version: "13.2.86",
        platform: "manylinux_2_17_x86_64",
        sha256: "3498247680dfddce31bad102af7e3e26fc795342a3cac64722bb0fa95e7f60f0",
        libraries: &["libcudart.so.13"],
    },
    CudaPin {
        name: "nvidia-cublas",
        version: "13.4.1.3",
        platform: "manylinux_2_27_x86_64",
        sha256: "a5917cb642cfb07f4a0231ee16aec7e2e0357d8cb8b1b78a0c9c68dba3e6afc7",
        libraries: &["libcublasLt.so.13", "libcublas.so.13"],
    },
    CudaPin {
        name: "nvidia-curand",
        version: "10.4.2.66",
        platform: "manylinux_2_27_x86_64",
        sha256: "9bb3796a2f6223454b2e326e3d7572c1500cfa4d629de827676b4eeecd30ab0c",
        libraries: &["libcurand.so.10"],
    },
    CudaPin {
        name: "nvidia-cuda-nvrtc",
        version: "13.2.86",
        platform: "manylinux_2_12_x86_64",
        sha256: "8111c5130e967b78222ea2124145f8efe9ce201b752b2579a2513100a53be1c5",
        libraries: &["libnvrtc.so.13"],
    },
];

/// Returns the installed library, if there is one.
pub fn installed(kind: Kind) -> Result<Option<PathBuf>, RuntimeError> {
    let path = folder(kind)?.join(pin(kind)?.library);
    Ok(path.is_file().then_some(path))
}

/// Installs the library unless it exists, and returns it. Two concurrent processes install it once.
pub fn install(kind: Kind, report: &dyn Report) -> Result<PathBuf, RuntimeError> {
    let pin = pin(kind)?;
    let folder = folder(kind)?;
    locked(&pipe_home()?.join("locks/runtime"), || {
        if let Some(path) = installed(kind)? {
            return Ok(path);
        }
        let wheel = Wheel {
            name: kind.package(),
            version: Some(VERSION),
            sha256: Some(pin.sha256),
            platform: Some(pin.platform),
        };
        unpack(&wheel, &folder, shared_library, &[pin.library], report)?;
        let path = folder.join(pin.library);
        library::check_file(&path)?;
        let name = match kind {
            Kind::Cpu => "ONNX Runtime",
            Kind::Gpu => "ONNX Runtime for GPUs",
        };
        report.note(&format!("installed {name} {VERSION} in `{}`", folder.display()));
        Ok(path)
    })?
}

/// Returns the folders for installed CUDA libraries, whether they exist or not.
pub fn cuda_folders() -> Result<Vec<PathBuf>, HomeError> {
    CUDA_PINS.iter().map(cuda_folder).collect()
}

/// Installs the wheels with these CUDA libraries, unless they are installed.
pub fn install_cuda(missing: &[&str], report: &dyn Report) -> Result<(), RuntimeError> {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    if (system, machine) != ("linux", "x86_64") {
        return Err(RuntimeError::CudaLibraries { missing: missing.join(", ") });
    }
    locked(&pipe_home()?.join("locks/runtime"), || {
        for pin in
            CUDA_PINS.iter().filter(|pin| pin.libraries.iter().any(|name| missing.contains(name)))
        {
            let folder = cuda_folder(pin)?;
            if pin.libraries.iter().all(|name| folder.join(name).is_file()) {
                continue;
            }
            let wheel = Wheel {
                name: pin.name,
                version: Some(pin.version),
                sha256: Some(pin.sha256),
                platform: Some(pin.platform),
            };
            unpack(&wheel, &folder, cuda_library, pin.libraries, report)?;
            report.note(&format!("installed {} in `{}`", wheel.requirement(), folder.display()));
        }
        Ok(())
    })?
}

/// Checks that the installed library and those beside it are the ones that were installed.
pub fn check(library: &Path) -> Result<(), RuntimeError> {
    receipt::check(library.parent().unwrap_or(library))
}

/// Fetches a wheel and unpacks the picked files into a folder.
fn unpack(
    wheel: &Wheel<'_>,
    folder: &Path,
    pick: fn(&str) -> Option<PathBuf>,
    expected: &[&str],
    report: &dyn Report,
) -> Result<(), RuntimeError> {
    let failed = |source: WheelError| RuntimeError::Install { what: wheel.requirement(), source };
    if folder.exists() {
        // Folders appear whole, by a rename, so one without its libraries was changed by hand.
        fs::remove_dir_all(folder)?;
    }
    let scratch = Scratch::new(&pipe_home()?)?;
    let file = wheel::fetch(wheel, scratch.path(), report).map_err(failed)?;
    let unpacked = scratch.path().join("unpacked");
    fs::create_dir(&unpacked)?;
    wheel::extract(&file, &unpacked, pick).map_err(failed)?;
    if let Some(name) = expected.iter().find(|name| !unpacked.join(name).is_file()) {
        let detail = format!("it has no `{name}`");
        return Err(failed(WheelError::Archive { file: wheel.requirement(), detail }));
    }
    receipt::note(&unpacked)?;
    Ok(place_folder(&unpacked, folder)?)
}

/// Picks ONNX Runtime's own shared libraries, but not Python's extension module.
fn shared_library(member: &str) -> Option<PathBuf> {
    let name = member.strip_prefix("onnxruntime/capi/")?;
    let wanted = (name.starts_with("libonnxruntime") || name.starts_with("onnxruntime"))
        && (name.contains(".so") || name.ends_with(".dylib") || name.ends_with(".dll"))
        && !name.contains("pybind11")
        && !name.contains("tensorrt");
    (wanted && !name.contains('/')).then(|| PathBuf::from(name))
}

/// Picks the shared libraries of NVIDIA's wheels.
fn cuda_library(member: &str) -> Option<PathBuf> {
    let (folder, name) = member.rsplit_once('/')?;
    (folder.starts_with("nvidia/") && folder.ends_with("/lib") && name.contains(".so"))
        .then(|| PathBuf::from(name))
}

fn folder(kind: Kind) -> Result<PathBuf, HomeError> {
    Ok(pipe_home()?.join("runtimes").join(format!("{}-{VERSION}", kind.package())))
}

fn cuda_folder(pin: &CudaPin) -> Result<PathBuf, HomeError> {
    Ok(pipe_home()?.join("runtimes").join(format!("{}-{}", pin.name, pin.version)))
}

fn pin(kind: Kind) -> Result<&'static Pin, RuntimeError> {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    PINS.iter()
        .find(|pin| pin.kind == kind && pin.system == system && pin.machine == machine)
        .ok_or(RuntimeError::UnknownPlatform { package: kind.package(), system, machine })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::runtime::cuda;

    #[test]
    fn keeps_only_the_shared_libraries() {
        let kept = |name: &str| shared_library(&format!("onnxruntime/capi/{name}")).is_some();
        assert!(kept("libonnxruntime.so.1.31.1"));
        assert!(kept("libonnxruntime_providers_shared.so"));
        assert!(kept("libonnxruntime.1.31.1.dylib"));
        assert!(kept("onnxruntime.dll"));
        assert!(!kept("onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so"));
        assert!(!kept("onnxruntime_pybind11_state.pyd"));
        assert!(kept("libonnxruntime_providers_cuda.so"));
        assert!(
            !kept("libonnxruntime_providers_tensorrt.so"),
            "it needs libraries that `pipe` does not install"
        );
        assert!(!kept("training/libonnxruntime.so"));
        assert!(shared_library("onnxruntime/backend/libonnxruntime.so").is_none());
        assert_eq!(cuda_library("nvidia/cu13/lib/libcublas.so.13"), Some("libcublas.so.13".into()));
        assert_eq!(cuda_library("nvidia/cu13/include/cublas.h"), None);
        assert_eq!(cuda_library("other/lib/libcublas.so.13"), None);
    }

    #[test]
    fn every_cuda_library_has_a_wheel() {
        for name in cuda::LIBRARIES {
            assert_eq!(
                CUDA_PINS.iter().filter(|pin| pin.libraries.contains(&name)).count(),
                1,
                "{name}"
            );
        }
        assert!(
            CUDA_PINS.iter().all(|pin| pin.sha256.len() == 64 && pin.platform.ends_with("x86_64"))
        );
    }
}
