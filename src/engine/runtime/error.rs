//! The errors of finding, installing and loading ONNX Runtime, and of finding a GPU.

use super::device::Device;
use std::path::PathBuf;

use super::version::{self, OLDEST_CAPABILITY, OLDEST_CUDA, OLDEST_DRIVER};
use crate::base::home::HomeError;
use crate::base::wheel::WheelError;

/// A library that cannot be found, installed or loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum RuntimeError {
    #[error("`ORT_DYLIB_PATH` is set to `{}`, which does not exist", path.display())]
    #[diagnostic(help(
        "set it to an ONNX Runtime library file, or unset it and `pipe` installs one"
    ))]
    Missing { path: PathBuf },

    #[error("`{}` is a folder; expected the ONNX Runtime library file in it", path.display())]
    #[diagnostic(help("add the file's name, such as `libonnxruntime.so`, to `ORT_DYLIB_PATH`"))]
    Folder { path: PathBuf },

    #[error("`{}` is not a shared library", path.display())]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to an ONNX Runtime library, or unset it and `pipe` installs one"
    ))]
    NotALibrary { path: PathBuf },

    #[error("`{}` is a library for {found}; this machine is {expected}", path.display())]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to a library for {expected}, or unset it and `pipe` installs one"
    ))]
    WrongMachine { path: PathBuf, expected: String, found: String },

    #[error(
        "`{}` is truncated: at least {expected_bytes} bytes expected, {found_bytes} found",
        path.display()
    )]
    #[diagnostic(help(
        "if `ORT_DYLIB_PATH` names this file, set it to another or unset it; if `pipe` installed \
         it, delete it from the cache of `pipe`, which installs it again"
    ))]
    Truncated { path: PathBuf, expected_bytes: u64, found_bytes: u64 },

    #[error("`{}` is not what was installed: its digest differs", path.display())]
    #[diagnostic(help(
        "delete the folder `{}`; `pipe runtime install`, or the next run, installs it again",
        folder.display()
    ))]
    Changed { path: PathBuf, folder: PathBuf },

    #[error("`{}` is not ONNX Runtime: it has no `OrtGetApiBase`", path.display())]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to an ONNX Runtime library, or unset it and `pipe` installs one"
    ))]
    NotOnnxRuntime { path: PathBuf },

    #[error(
        "`{}` is ONNX Runtime {version}; {}.{} or later is needed",
        path.display(), version::OLDEST.0, version::OLDEST.1
    )]
    #[diagnostic(help("unset `ORT_DYLIB_PATH` and `pipe` installs {}", version::VERSION))]
    TooOld { path: PathBuf, version: String },

    #[error("`{}` cannot be loaded: {detail}", path.display())]
    #[diagnostic(help(
        "a library that it needs may be missing: `ldd` (`otool -L` on macOS) lists them"
    ))]
    Load { path: PathBuf, detail: String },

    #[error("`{what}` could not be installed")]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to an ONNX Runtime library of {}.{} or later; in a Python \
         installation, it is `onnxruntime/capi/libonnxruntime.so.*`",
        version::OLDEST.0,
        version::OLDEST.1
    ))]
    Install {
        /// The package and its version.
        what: String,
        #[source]
        #[diagnostic_source]
        source: WheelError,
    },

    #[error("`pipe` has no wheel of `{package}=={}` for {system} {machine}", version::VERSION)]
    #[diagnostic(help("install ONNX Runtime yourself and set `ORT_DYLIB_PATH` to its library"))]
    UnknownPlatform { package: &'static str, system: &'static str, machine: &'static str },

    #[error("CUDA libraries are missing: {missing}")]
    #[diagnostic(help("install NVIDIA's CUDA toolkit 13, or run with `--device cpu`"))]
    CudaLibraries { missing: String },

    #[error(transparent)]
    #[diagnostic(transparent)]
    NoGpu(#[from] NoGpu),

    #[error("the device is `{device}`, but {library} has no CUDA execution provider")]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to the library of a CUDA build, or unset it and `pipe` installs \
         one; or run with `--device cpu`"
    ))]
    NoCuda { device: Device, library: String },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Home(#[from] HomeError),

    #[error("ONNX Runtime cannot be started: {0}")]
    Start(String),

    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The reasons why no GPU can be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum NoGpu {
    #[error("no NVIDIA driver was found: `{library}` cannot be loaded ({detail})")]
    #[diagnostic(help(
        "install NVIDIA's driver {OLDEST_DRIVER} or later (in a container: start it with `--gpus \
         all`), or run with `--device cpu`"
    ))]
    NoDriver { library: String, detail: String },

    #[error(
        "the NVIDIA driver supports CUDA up to {}.{}; {}.{} is needed",
        found.0, found.1, OLDEST_CUDA.0, OLDEST_CUDA.1
    )]
    #[diagnostic(help(
        "install NVIDIA's driver {OLDEST_DRIVER} or later; or set `ORT_DYLIB_PATH` to an ONNX \
         Runtime for that CUDA, or run with `--device cpu`"
    ))]
    OldDriver { found: (u32, u32) },

    #[error(
        "{name} has compute capability {}.{}; {}.{} is needed",
        found.0, found.1, OLDEST_CAPABILITY.0, OLDEST_CAPABILITY.1
    )]
    #[diagnostic(help(
        "set `ORT_DYLIB_PATH` to an ONNX Runtime for CUDA 12, or run with `--device cpu`"
    ))]
    OldGpu { name: String, found: (u32, u32) },

    #[error("the NVIDIA driver finds no GPU (CUDA error {code})")]
    #[diagnostic(help(
        "`nvidia-smi` lists the GPUs; `CUDA_VISIBLE_DEVICES` may hide them; or run with `--device \
         cpu`"
    ))]
    NoDevice { code: i32 },

    #[error("there is no `cuda:{number}`; the GPUs are {found}")]
    #[diagnostic(help("GPUs are counted from 0; `CUDA_VISIBLE_DEVICES` selects the counted ones"))]
    NoSuchDevice { number: u32, found: String },
}
