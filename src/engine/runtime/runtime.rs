//! ONNX Runtime: finds, installs and loads the library.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::ep::ExecutionProvider;

use super::cuda::{self, Driver};
use super::device::Device;
use super::error::RuntimeError;
use super::install::{self, Kind};
use super::library::{self, Account};
use super::version;
use crate::base::chain::chain;
use crate::base::digest::Digest;
use crate::base::home::{HomeError, pipe_home};
use crate::base::memo;
use crate::base::report::Report;

/// The loaded library; one per process.
#[derive(Debug)]
pub struct Runtime {
    /// The environment for ort's session builders.
    pub environment: ort::environment::Environment,
    pub identity: RuntimeIdentity,
    /// Whether the library has the CUDA execution provider.
    pub has_cuda: bool,
    /// The driver, if a GPU was requested.
    pub driver: Option<Driver>,
}

/// The library that is, or would be, used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuntimeIdentity {
    /// Such as `1.31.1`.
    pub version: String,
    /// The library file; `None` if the first run would install it.
    pub path: Option<PathBuf>,
    /// The digest of the library, unless it is our own installation. There the version is enough,
    /// because its wheel is pinned.
    pub digest: Option<Digest>,
    pub has_training_api: bool,
}

static LOADED: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// Returns the library that is used, or would be installed. This is cheap, and loads no library
    /// if its version is known otherwise.
    pub fn identify(device: Device) -> Result<RuntimeIdentity, RuntimeError> {
        if let Some(path) = chosen(Kind::of(device))? {
            let Account { version, has_training_api } = library::inspect(&path)?;
            let digest = Some(memo::digest_of(&path)?);
            let has_cuda = path.with_file_name(library::CUDA_PROVIDER).is_file();
            let identity = RuntimeIdentity { version, path: Some(path), digest, has_training_api };
            refuse_cuda(device, has_cuda, &identity.describe())?;
            return Ok(identity);
        }
        let kind = Kind::of(device);
        Ok(RuntimeIdentity {
            // Another build of the same version may round differently.
            version: match kind {
                Kind::Cpu => version::VERSION.to_owned(),
                Kind::Gpu => format!("{}+gpu", version::VERSION),
            },
            path: install::installed(kind)?,
            digest: None,
            has_training_api: false,
        })
    }

    /// Resolves `auto` to the first usable GPU, else the CPU, with a reason. Other devices stay as
    /// they are. With `prepare`, the libraries for the GPU are installed now; if that fails, the
    /// CPU is used.
    pub fn decide(
        device: Device,
        prepare: Option<&dyn Report>,
    ) -> Result<(Device, Option<String>), RuntimeError> {
        if device != Device::Auto {
            return Ok((device, None));
        }
        let usable = || -> Result<Device, RuntimeError> {
            let identity = Runtime::identify(Device::Cuda(0))?;
            let number = Driver::ask()?.first(identity.is_own())?;
            if let Some(report) = prepare {
                Runtime::install(Device::Cuda(number), report)?;
            }
            Ok(Device::Cuda(number))
        };
        Ok(match usable() {
            Ok(device) => (device, Some(format!("`--device auto` selects `{device}`"))),
            Err(error) => {
                (Device::Cpu, Some(format!("`--device auto` selects the CPU: {}", chain(&error))))
            }
        })
    }

    /// Installs the missing libraries for a device; returns ONNX Runtime's library.
    pub fn install(device: Device, report: &dyn Report) -> Result<PathBuf, RuntimeError> {
        let identity = Runtime::identify(device)?;
        let is_own = identity.is_own();
        let path = match identity.path {
            // Nothing is locked or written: the home may be read-only, and another process may be
            // installing something else.
            Some(path) => path,
            None => install::install(Kind::of(device), report)?,
        };
        if is_own {
            install::check(&path)?;
            // The identity was derived from the folder's name.
            library::inspect(&path)?;
            if Kind::of(device) == Kind::Gpu {
                prepare_cuda(report)?;
            }
        }
        Ok(path)
    }

    /// Returns the driver if the device is a GPU; a GPU that the library cannot use is an error.
    pub fn driver(
        device: Device,
        identity: &RuntimeIdentity,
    ) -> Result<Option<Driver>, RuntimeError> {
        let Device::Cuda(number) = device else { return Ok(None) };
        let driver = Driver::ask()?;
        driver.gpu(number, identity.is_own())?;
        Ok(Some(driver))
    }

    /// Returns the process's library; the first call finds, installs and loads it. The first call
    /// also sets the size of the thread pool that all sessions share to `threads`.
    pub fn get(
        device: Device,
        threads: usize,
        report: &dyn Report,
    ) -> Result<&'static Runtime, RuntimeError> {
        let runtime = match LOADED.get() {
            Some(runtime) => runtime,
            None => {
                let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
                match LOADED.get() {
                    Some(runtime) => runtime,
                    None => {
                        let runtime = load(device, threads, report)?;
                        LOADED.get_or_init(|| runtime)
                    }
                }
            }
        };
        refuse_cuda(device, runtime.has_cuda, &runtime.identity.describe())?;
        if let (Device::Cuda(number), Some(driver)) = (device, &runtime.driver) {
            driver.gpu(number, runtime.identity.is_own())?;
        }
        Ok(runtime)
    }
}

impl RuntimeIdentity {
    /// Returns the library's part of a cache key: its version, and its content if the user names
    /// the file.
    pub fn key(&self) -> String {
        match self.digest {
            Some(digest) => format!("{} {digest}", self.version),
            None => self.version.clone(),
        }
    }

    /// Returns whether this is our own installation, whose requirements are known.
    pub fn is_own(&self) -> bool {
        self.digest.is_none()
    }

    /// Returns a description of the library.
    pub fn describe(&self) -> String {
        match &self.path {
            Some(path) => format!("`{}` (ONNX Runtime {})", path.display(), self.version),
            None => format!("ONNX Runtime {}", self.version),
        }
    }
}

fn load(device: Device, threads: usize, report: &dyn Report) -> Result<Runtime, RuntimeError> {
    let mut identity = Runtime::identify(device)?;
    let driver = Runtime::driver(device, &identity)?;
    if let (Device::Cuda(number), Some(driver)) = (device, &driver) {
        let gpu = driver.gpu(number, identity.is_own())?.describe();
        let (major, minor) = driver.cuda;
        report.note(&format!("`{device}` is {gpu}; the driver supports CUDA {major}.{minor}"));
    }
    let path = Runtime::install(device, report)?;
    let failed = |error: &dyn std::fmt::Display| RuntimeError::Start(error.to_string());
    let builder = ort::init_from(&path)
        .map_err(|error| RuntimeError::Load { path: path.clone(), detail: error.to_string() })?;
    let pool = ort::environment::GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)
        .map_err(|error| failed(&error))?;
    let environment =
        builder.with_global_thread_pool(pool).build().map_err(|error| failed(&error))?;
    // Its log messages also come back as errors, which the program reports once.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    let has_cuda = ort::ep::CUDA::is_available().unwrap_or(false);
    identity.path = Some(path);
    Ok(Runtime { environment, identity, has_cuda, driver })
}

/// Finds the CUDA libraries, installs the missing ones, and loads them all.
fn prepare_cuda(report: &dyn Report) -> Result<(), RuntimeError> {
    // A toolkit of the system comes first: it may be there for a reason, and needs no download.
    let mut folders = cuda::usual_folders(Path::new("/"));
    let own = install::cuda_folders()?;
    folders.extend(own.iter().cloned());
    let (mut found, mut missing) = cuda::find(&folders, cuda::loads);
    if !missing.is_empty() {
        install::install_cuda(&missing, report)?;
        (found, missing) = cuda::find(&folders, cuda::loads);
    }
    if !missing.is_empty() {
        return Err(RuntimeError::CudaLibraries { missing: missing.join(", ") });
    }
    for path in found.iter().filter_map(|library| library.path.as_ref()) {
        if own.iter().any(|folder| path.starts_with(folder)) {
            install::check(path)?;
        }
    }
    cuda::preload(&found)
}

/// Returns the library that `ORT_DYLIB_PATH` names, else the one with the training API that was
/// built on this machine, if it supports the requested kind.
fn chosen(kind: Kind) -> Result<Option<PathBuf>, RuntimeError> {
    let Some(value) = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) else {
        let built = built()?;
        let is_fit = kind == Kind::Cpu || built.with_file_name(library::CUDA_PROVIDER).is_file();
        return Ok((built.is_file() && is_fit).then_some(built));
    };
    // Relative to the user's working folder; the loader and `ort` would look elsewhere.
    let path = std::path::absolute(Path::new(&value))?;
    if path.exists() { Ok(Some(path)) } else { Err(RuntimeError::Missing { path }) }
}

/// Returns the path of the library that `scripts/build-onnxruntime-training.sh` builds.
fn built() -> Result<PathBuf, HomeError> {
    Ok(pipe_home()?.join("runtimes/training/libonnxruntime.so"))
}

fn refuse_cuda(device: Device, has_cuda: bool, library: &str) -> Result<(), RuntimeError> {
    match device {
        Device::Cuda(_) if !has_cuda => {
            Err(RuntimeError::NoCuda { device, library: library.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::wheel::WheelError;

    #[test]
    fn the_key_leaves_the_path_out() {
        let mut identity = RuntimeIdentity {
            version: "1.31.1".into(),
            path: None,
            digest: None,
            has_training_api: false,
        };
        let before = identity.key();
        identity.path = Some("/somewhere".into());
        assert_eq!(identity.key(), before);
        identity.digest = Some(Digest::of(b"other"));
        assert_ne!(identity.key(), before);
    }

    /// Uses the library that `ORT_DYLIB_PATH` names, else installs one like a first run.
    #[test]
    fn the_library_is_found_loaded_and_known() -> Result<(), RuntimeError> {
        let runtime = Runtime::get(Device::Cpu, 2, &crate::base::report::Silent)?;
        assert!(runtime.identity.path.as_ref().is_some_and(|path| path.is_file()));
        assert_eq!(Runtime::identify(Device::Cpu)?, runtime.identity);
        assert!(std::ptr::eq(
            runtime,
            Runtime::get(Device::Auto, 1, &crate::base::report::Silent)?
        ));
        // The library's own build information names the branch or commit of its version.
        assert!(ort::info().starts_with("ORT Build Info"));
        Ok(())
    }

    #[test]
    fn a_failed_installation_shows_the_cause_and_both_ways_out() {
        let source = WheelError::Unreachable {
            requirement: "onnxruntime==1.31.1".into(),
            detail: "closed".into(),
        };
        let error = RuntimeError::Install { what: "onnxruntime==1.31.1".into(), source };
        let mut shown = String::new();
        let mut next: Option<&dyn miette::Diagnostic> = Some(&error);
        while let Some(error) = next {
            let hint = error.help().map(|hint| hint.to_string());
            shown.push_str(&format!("{error}\n{}\n", hint.unwrap_or_default()));
            next = error.diagnostic_source();
        }
        for part in [
            "could not be installed",
            "cannot be reached (closed)",
            "PIP_INDEX_URL",
            "ORT_DYLIB_PATH",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }

    #[test]
    fn cuda_is_refused_where_it_is_not() {
        assert!(refuse_cuda(Device::Auto, false, "x").is_ok());
        assert!(refuse_cuda(Device::Cuda(0), true, "x").is_ok());
        let refused = refuse_cuda(Device::Cuda(1), false, "x").map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("the device is `cuda:1`, but x has no CUDA execution provider".into())
        );
    }
}
