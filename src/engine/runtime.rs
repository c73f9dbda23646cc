//! ONNX Runtime: finding, installing and loading the library.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::device::Device;
use crate::base::report::Report;

/// The loaded library; one per process.
#[derive(Debug)]
pub struct Runtime {
    /// What ort's session builders take.
    pub environment: ort::environment::Environment,
    pub identity: RuntimeIdentity,
    /// Whether the library has the training API.
    pub has_training_api: bool,
}

/// Which library is, or would be, used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuntimeIdentity {
    /// Such as `1.31.1`.
    pub version: String,
    /// The library file; `None` where the first run would install it.
    pub path: Option<PathBuf>,
}

/// A library that cannot be found, installed or loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum RuntimeError {
    #[error("{0}")]
    Load(String),
}

impl Runtime {
    /// Returns which library is used, or would be installed: cheap, and without loading one where its version is known otherwise.
    pub fn identify(_device: Device) -> Result<RuntimeIdentity, RuntimeError> {
        Err(RuntimeError::Load("later".into()))
    }

    /// Returns the process's library, finding, installing and loading it at the first call.
    pub fn get(_device: Device, _threads: usize, _report: &dyn Report) -> Result<&'static Runtime, RuntimeError> {
        static R: OnceLock<Runtime> = OnceLock::new();
        Ok(R.get_or_init(|| {
            let path = std::env::var("ORT_DYLIB_PATH").unwrap();
            let pool = ort::environment::GlobalThreadPoolOptions::default().with_intra_threads(_threads).unwrap();
            let environment = ort::init_from(&path).unwrap().with_global_thread_pool(pool).build().unwrap();
            Runtime { environment, identity: RuntimeIdentity { version: String::new(), path: None }, has_training_api: false }
        }))
    }
}
