//! NVIDIA GPUs: the driver, its GPUs, and the CUDA libraries that ONNX Runtime's CUDA execution
//! provider needs.
#![expect(unsafe_code, reason = "the driver can only be queried by calling its functions")]

use super::error::NoGpu;
use super::version::{OLDEST_CAPABILITY, OLDEST_CUDA};
use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};

use super::error::RuntimeError;

/// The CUDA libraries that the execution provider of the pinned version links to, each after its
/// own dependencies. The last one is opened by name on first use.
pub const LIBRARIES: [&str; 5] = [
    "libcudart.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libcurand.so.10",
    "libnvrtc.so.13",
];

/// Returns the library of the driver. Windows would look for its bare name in the working folder
/// too, if the system has none.
fn driver() -> PathBuf {
    if cfg!(windows) {
        let root = std::env::var_os("SystemRoot").unwrap_or_else(|| "C:\\Windows".into());
        Path::new(&root).join("System32").join("nvcuda.dll")
    } else {
        PathBuf::from("libcuda.so.1")
    }
}

/// The version and the GPUs of the driver.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Driver {
    /// The newest supported CUDA version as (major, minor).
    pub cuda: (u32, u32),
    pub gpus: Vec<Gpu>,
}

/// One GPU; its number is its position in the list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gpu {
    pub name: String,
    pub memory_bytes: u64,
    /// The compute capability, as (major, minor).
    pub capability: (u32, u32),
}

impl Driver {
    /// Queries the driver.
    pub fn ask() -> Result<Driver, NoGpu> {
        Driver::ask_library(&driver())
    }

    fn ask_library(path: &Path) -> Result<Driver, NoGpu> {
        let missing = |error: libloading::Error| NoGpu::NoDriver {
            library: path.display().to_string(),
            detail: error.to_string(),
        };
        // SAFETY: loading runs the initialisers of the driver's own library, which the system
        // provides.
        let library = unsafe { libloading::Library::new(path) }.map_err(missing)?;
        let calls = Calls::of(&library).map_err(missing)?;
        // SAFETY: these functions have these signatures since CUDA 4.0; all pointers refer to
        // memory that outlives the calls.
        unsafe {
            let code = (calls.init)(0);
            let mut version = 0;
            // A driver without version information leaves it at 0.
            let _ = (calls.version)(&raw mut version);
            let mut count = 0;
            let code = if code == 0 { (calls.count)(&raw mut count) } else { code };
            if code != 0 || count == 0 {
                return Err(NoGpu::NoDevice { code });
            }
            let gpus = (0..count).map(|number| calls.gpu(number)).collect();
            Ok(Driver { cuda: ((version / 1000) as u32, (version % 1000 / 10) as u32), gpus })
        }
    }

    /// Returns a GPU by its number. The requirements of our own installation are checked if it is
    /// used; those of other libraries are unknown.
    pub fn gpu(&self, number: u32, is_own_library: bool) -> Result<&Gpu, NoGpu> {
        let gpu = self.gpus.get(number as usize).ok_or_else(|| NoGpu::NoSuchDevice {
            number,
            found: (0..self.gpus.len())
                .map(|known| format!("`cuda:{known}`"))
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        // Values that the driver did not report are not checked here; later use may fail.
        let is_known = |found: (u32, u32)| found != (0, 0);
        if is_own_library && is_known(self.cuda) && self.cuda < OLDEST_CUDA {
            return Err(NoGpu::OldDriver { found: self.cuda });
        }
        if is_own_library && is_known(gpu.capability) && gpu.capability < OLDEST_CAPABILITY {
            return Err(NoGpu::OldGpu { name: gpu.name.clone(), found: gpu.capability });
        }
        Ok(gpu)
    }

    /// Returns the number of the first GPU that can be used.
    pub fn first(&self, is_own_library: bool) -> Result<u32, NoGpu> {
        let usable =
            (0..self.gpus.len() as u32).find(|&number| self.gpu(number, is_own_library).is_ok());
        usable.map_or_else(|| self.gpu(0, is_own_library).map(|_| 0), Ok)
    }
}

impl Gpu {
    /// Returns a description of the GPU.
    pub fn describe(&self) -> String {
        let gib = self.memory_bytes as f64 / (1u64 << 30) as f64;
        format!(
            "{}, {gib:.0} GiB, compute capability {}.{}",
            self.name, self.capability.0, self.capability.1
        )
    }
}

/// The driver's functions.
struct Calls {
    init: unsafe extern "C" fn(u32) -> c_int,
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    count: unsafe extern "C" fn(*mut c_int) -> c_int,
    get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    memory: unsafe extern "C" fn(*mut usize, c_int) -> c_int,
    attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int,
}

/// The numbers of the attributes with the compute capability.
const CAPABILITY: [c_int; 2] = [75, 76];

impl Calls {
    fn of(library: &libloading::Library) -> Result<Calls, libloading::Error> {
        // SAFETY: the functions are called with these signatures only while the library is loaded.
        unsafe {
            Ok(Calls {
                init: *library.get(b"cuInit\0")?,
                version: *library.get(b"cuDriverGetVersion\0")?,
                count: *library.get(b"cuDeviceGetCount\0")?,
                get: *library.get(b"cuDeviceGet\0")?,
                name: *library.get(b"cuDeviceGetName\0")?,
                memory: *library.get(b"cuDeviceTotalMem_v2\0")?,
                attribute: *library.get(b"cuDeviceGetAttribute\0")?,
            })
        }
    }

    /// Describes a GPU; values that cannot be queried are left out.
    ///
    /// # Safety
    /// The library is loaded and was initialised.
    unsafe fn gpu(&self, number: c_int) -> Gpu {
        let (mut device, mut memory, mut name) = (0, 0, [0 as c_char; 256]);
        let mut capability = [0; 2];
        // SAFETY: the caller guarantees the library; the name ends with a zero within its buffer,
        // whose last byte is never written.
        unsafe {
            (self.get)(&raw mut device, number);
            (self.name)(name.as_mut_ptr(), name.len() as c_int - 1, device);
            (self.memory)(&raw mut memory, device);
            for (found, attribute) in capability.iter_mut().zip(CAPABILITY) {
                (self.attribute)(found, attribute, device);
            }
            Gpu {
                name: CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned(),
                memory_bytes: memory as u64,
                capability: (capability[0] as u32, capability[1] as u32),
            }
        }
    }
}

/// The location of a CUDA library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// `None` if the system's loader finds it by itself.
    pub path: Option<PathBuf>,
}

/// Returns folders outside the search path of the system's loader that may hold CUDA libraries, the
/// newest toolkit first; `root` is `/`.
pub fn usual_folders(root: &Path) -> Vec<PathBuf> {
    let local = root.join("usr/local");
    let mut toolkits: Vec<PathBuf> = fs_err::read_dir(&local)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cuda"))
        })
        .collect();
    let version = |path: &PathBuf| -> Vec<u32> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split(['-', '.']).filter_map(|part| part.parse().ok()).collect()
    };
    toolkits.sort_by_key(|path| std::cmp::Reverse(version(path)));
    let inner = ["lib64", "targets/x86_64-linux/lib"];
    toolkits.iter().flat_map(|toolkit| inner.map(|inner| toolkit.join(inner))).collect()
}

/// Looks for the CUDA libraries: first with the loader by `loads`, then in the folders. Returns the
/// found libraries and the names of the missing ones.
pub fn find(folders: &[PathBuf], loads: impl Fn(&str) -> bool) -> (Vec<Found>, Vec<&'static str>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in LIBRARIES {
        let in_folder =
            || folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        if loads(name) {
            found.push(Found { name: name.to_owned(), path: None });
        } else if let Some(path) = in_folder() {
            found.push(Found { name: name.to_owned(), path: Some(path) });
        } else {
            missing.push(name);
        }
    }
    (found, missing)
}

/// Returns whether the system's loader finds a library by its name alone. If so, it stays loaded.
pub fn loads(name: &str) -> bool {
    load(Path::new(name)).is_ok()
}

/// Loads libraries for the rest of the process, so that the execution provider finds them.
pub fn preload(libraries: &[Found]) -> Result<(), RuntimeError> {
    for library in libraries {
        if let Some(path) = &library.path {
            load(path).map_err(|error| RuntimeError::Load {
                path: path.clone(),
                detail: error.to_string(),
            })?;
        }
    }
    Ok(())
}

fn load(path: &Path) -> Result<(), libloading::Error> {
    // SAFETY: loading runs the initialisers of NVIDIA's libraries, which come from the system or
    // from wheels with pinned digests.
    let library = unsafe { libloading::Library::new(path) }?;
    let _stays = std::mem::ManuallyDrop::new(library);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestError = Box<dyn std::error::Error>;

    fn touch(path: &Path) -> std::io::Result<()> {
        fs_err::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs_err::write(path, "")
    }

    #[test]
    fn libraries_are_looked_for_in_order() -> Result<(), TestError> {
        let root = tempfile::tempdir()?;
        let local = root.path().join("usr/local");
        touch(&local.join("cuda-13.4/lib64/libcudart.so.13"))?;
        touch(&local.join("cuda-13.10/targets/x86_64-linux/lib/libcudart.so.13"))?;
        touch(&local.join("cuda-13.10/lib64/libcublas.so.13"))?;
        touch(&local.join("other/lib64/libcurand.so.10"))?;
        let own = root.path().join("own");
        touch(&own.join("libcublas.so.13"))?;
        let mut folders = usual_folders(root.path());
        folders.push(own);
        let (found, missing) = find(&folders, |name| name == "libcublasLt.so.13");
        let places: Vec<(String, Option<PathBuf>)> = found
            .into_iter()
            .map(|found| {
                let below = |path: PathBuf| {
                    path.strip_prefix(root.path()).map(Path::to_owned).unwrap_or(path)
                };
                (found.name, found.path.map(below))
            })
            .collect();
        let usr = |path: &str| Some(PathBuf::from("usr/local").join(path));
        assert_eq!(
            places,
            [
                (
                    "libcudart.so.13".into(),
                    usr("cuda-13.10/targets/x86_64-linux/lib/libcudart.so.13")
                ),
                ("libcublasLt.so.13".into(), None),
                ("libcublas.so.13".into(), usr("cuda-13.10/lib64/libcublas.so.13")),
            ]
        );
        assert_eq!(missing, ["libcurand.so.10", "libnvrtc.so.13"]);
        assert_eq!(usual_folders(&root.path().join("none")), Vec::<PathBuf>::new());
        Ok(())
    }

    #[test]
    fn gpus_are_counted_from_zero() {
        let gpu = Gpu { name: "NVIDIA H100".into(), memory_bytes: 80 << 30, capability: (9, 0) };
        assert_eq!(gpu.describe(), "NVIDIA H100, 80 GiB, compute capability 9.0");
        let driver = Driver { cuda: (13, 0), gpus: vec![gpu.clone(), gpu] };
        assert!(driver.gpu(1, true).is_ok());
        let error = driver.gpu(2, false).map_err(|error| error.to_string());
        assert_eq!(error, Err("there is no `cuda:2`; the GPUs are `cuda:0`, `cuda:1`".into()));
    }

    #[test]
    fn our_library_asks_more_than_others_may() {
        let gpu =
            |name: &str, capability| Gpu { name: name.into(), memory_bytes: 1 << 34, capability };
        let gpus = vec![gpu("Tesla V100", (7, 0)), gpu("Tesla T4", (7, 5))];
        let driver = Driver { cuda: (13, 0), gpus: gpus.clone() };
        let told = |found: Result<u32, NoGpu>| found.map_err(|error| error.to_string());
        assert_eq!((told(driver.first(true)), told(driver.first(false))), (Ok(1), Ok(0)));
        let old = Driver { cuda: (13, 0), gpus: gpus[..1].to_vec() };
        assert_eq!(
            told(old.first(true)),
            Err("Tesla V100 has compute capability 7.0; 7.5 is needed".into())
        );
        let old = Driver { cuda: (12, 4), gpus };
        assert_eq!(
            told(old.first(true)),
            Err("the NVIDIA driver supports CUDA up to 12.4; 13.0 is needed".into())
        );
        assert_eq!(told(old.first(false)), Ok(0), "a library of the user may be for that CUDA");
    }

    /// A driver in a few lines of C, built with the linker that Rust needs anyway.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_driver_is_asked_for_its_gpus() -> Result<(), TestError> {
        let folder = tempfile::tempdir()?;
        let driver =
            |version: i32, count: i32, code: i32| -> Result<Result<Driver, NoGpu>, TestError> {
                let source = folder.path().join("driver.c");
                let library = folder.path().join(format!("libcuda-{version}-{count}-{code}.so"));
                fs_err::write(
                    &source,
                    format!(
                        "int cuInit(unsigned f) {{ return {code}; }}
                    int cuDriverGetVersion(int *v) {{ *v = {version}; return 0; }}
                    int cuDeviceGetCount(int *n) {{ *n = {count}; return 0; }}
                    int cuDeviceGet(int *d, int n) {{ *d = n; return 0; }}
                    int cuDeviceGetName(char *s, int l, int d) {{ s[0] = 'A' + d; s[1] = 0; return \
                         0; }}
                    int cuDeviceTotalMem_v2(unsigned long *m, int d) {{ *m = 1ul << 34; return 0; \
                         }}
                    int cuDeviceGetAttribute(int *a, int k, int d) {{ *a = k == 75 ? 8 : 6; return \
                         0; }}"
                    ),
                )?;
                let built = std::process::Command::new("cc")
                    .args(["-shared", "-fPIC", "-o"])
                    .args([&library, &source])
                    .status()?;
                assert!(built.success());
                Ok(Driver::ask_library(&library))
            };
        let gpu = |name: &str| Gpu { name: name.into(), memory_bytes: 1 << 34, capability: (8, 6) };
        let found = driver(13_020, 2, 0)??;
        assert_eq!(found, Driver { cuda: (13, 2), gpus: vec![gpu("A"), gpu("B")] });
        let told = |found: Result<Driver, NoGpu>| found.map_err(|error| error.to_string());
        assert_eq!(driver(12_040, 1, 0)??.cuda, (12, 4));
        assert_eq!(
            told(driver(13_000, 0, 0)?),
            Err("the NVIDIA driver finds no GPU (CUDA error 0)".into())
        );
        assert_eq!(
            told(driver(13_000, 1, 100)?),
            Err("the NVIDIA driver finds no GPU (CUDA error 100)".into())
        );
        let none = told(Driver::ask_library(&folder.path().join("none.so")));
        assert!(none.is_err_and(|error| error.starts_with("no NVIDIA driver was found")));
        Ok(())
    }
}
