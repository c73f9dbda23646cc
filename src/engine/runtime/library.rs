//! Library files: their headers, which are checked before loading, and the version of the ONNX
//! Runtime in them.
#![expect(
    unsafe_code,
    reason = "the version of a shared library is only known by calling its functions"
)]

use super::version::OLDEST;
use std::ffi::CStr;
use std::io::Read;
use std::path::Path;

use super::error::RuntimeError;

/// The library of the CUDA execution provider, beside ONNX Runtime's own.
pub const CUDA_PROVIDER: &str = if cfg!(windows) {
    "onnxruntime_providers_cuda.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime_providers_cuda.dylib"
} else {
    "libonnxruntime_providers_cuda.so"
};

/// The properties of the ONNX Runtime in a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Such as `1.31.1`.
    pub version: String,
    pub has_training_api: bool,
}

/// Checks that a file is a whole shared library for this machine, and returns the properties of the
/// ONNX Runtime in it.
pub fn inspect(path: &Path) -> Result<Account, RuntimeError> {
    check_file(path)?;
    let account = ask(path)?;
    if is_supported(&account.version) {
        Ok(account)
    } else {
        Err(RuntimeError::TooOld { path: path.to_owned(), version: account.version })
    }
}

fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    major.zip(minor).is_some_and(|version| version >= OLDEST)
}

/// Checks a file's header. The dynamic loader's own messages are unclear, and a truncated file
/// would end the process.
pub fn check_file(path: &Path) -> Result<(), RuntimeError> {
    if path.is_dir() {
        return Err(RuntimeError::Folder { path: path.to_owned() });
    }
    let mut file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    let mut header = vec![0; 4096];
    let mut length = 0;
    while length < header.len() {
        match file.read(&mut header[length..])? {
            0 => break,
            count => length += count,
        }
    }
    header.truncate(length);
    let Some((system, machine)) = platform(&header) else {
        return Err(RuntimeError::NotALibrary { path: path.to_owned() });
    };
    let here = (std::env::consts::OS, std::env::consts::ARCH);
    let same_system =
        system == here.0 || (system == "linux" && !matches!(here.0, "macos" | "windows"));
    if !same_system || (machine != here.1 && machine != "universal") {
        return Err(RuntimeError::WrongMachine {
            path: path.to_owned(),
            expected: format!("{} {}", here.0, here.1),
            found: format!("{system} {machine}"),
        });
    }
    match elf_end(&header) {
        Some(end) if end > size => Err(RuntimeError::Truncated {
            path: path.to_owned(),
            expected_bytes: end,
            found_bytes: size,
        }),
        _ => Ok(()),
    }
}

/// Returns the operating system and the processor in a library's header, by Rust's names.
fn platform(header: &[u8]) -> Option<(&'static str, &'static str)> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    if header.starts_with(b"\x7fELF") {
        let machine = match u16_at(18)? {
            62 => "x86_64",
            183 => "aarch64",
            3 => "x86",
            40 => "arm",
            243 => "riscv64",
            _ => "unknown",
        };
        return Some(("linux", machine));
    }
    if header.starts_with(b"MZ") {
        let at = u32_at(0x3c)? as usize;
        if header.get(at..at + 4)? != b"PE\0\0" {
            return None;
        }
        let machine = match u16_at(at + 4)? {
            0x8664 => "x86_64",
            0xaa64 => "aarch64",
            0x014c => "x86",
            _ => "unknown",
        };
        return Some(("windows", machine));
    }
    match u32_at(0)? {
        0xfeed_facf => {
            let machine = match u32_at(4)? {
                0x0100_0007 => "x86_64",
                0x0100_000c => "aarch64",
                _ => "unknown",
            };
            Some(("macos", machine))
        }
        // A universal binary, whose header is big-endian.
        0xbeba_feca => Some(("macos", "universal")),
        _ => None,
    }
}

/// Returns the end of the last loaded segment of a 64-bit ELF file.
fn elf_end(header: &[u8]) -> Option<u64> {
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let (first, size, count) =
        (u64_at(0x20)? as usize, u16_at(0x36)? as usize, u16_at(0x38)? as usize);
    (0..count)
        .map_while(|index| {
            let at = first.checked_add(index * size)?;
            u64_at(at + 8)?.checked_add(u64_at(at + 32)?)
        })
        .max()
}

fn ask(path: &Path) -> Result<Account, RuntimeError> {
    // SAFETY: loading runs the library's initialisers. Its header was checked, and the file is the
    // ONNX Runtime of the user or of our own installation with its pinned digest.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
        RuntimeError::Load { path: path.to_owned(), detail: detail(path, &error) }
    })?;
    let missing = || RuntimeError::NotOnnxRuntime { path: path.to_owned() };
    // SAFETY: `OrtGetApiBase`, and the getter of the version behind it, have these signatures in
    // every ONNX Runtime since 1.0. The API of version 19, with `GetTrainingApi`, has the layout
    // that `ort` expects in every library that supports this version; other libraries return null.
    let account = unsafe {
        let base = library
            .get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0")
            .map_err(|_| missing())?();
        let base = base.as_ref().ok_or_else(missing)?;
        let version = CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned();
        // A library that does not support the version prints a message of its own.
        let known = is_supported(&version);
        let api = if known { (base.GetApi)(ort::sys::ORT_API_VERSION).as_ref() } else { None };
        let has_training_api =
            api.is_some_and(|api| !(api.GetTrainingApi)(ort::sys::ORT_API_VERSION).is_null());
        Account { version, has_training_api }
    };
    // Unloading would run destructors while threads may still be running, and `ort` loads the same
    // file again anyway.
    std::mem::forget(library);
    Ok(account)
}

/// Returns the loader's own message, which is the error's source, without its leading path.
fn detail(path: &Path, error: &libloading::Error) -> String {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16, file_size: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[0x20..0x28].copy_from_slice(&64_u64.to_le_bytes());
        bytes[0x36..0x38].copy_from_slice(&56_u16.to_le_bytes());
        bytes[0x38..0x3a].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64 + 32..64 + 40].copy_from_slice(&file_size.to_le_bytes());
        bytes
    }

    #[test]
    fn reads_headers() {
        assert_eq!(platform(&elf(62, 0)), Some(("linux", "x86_64")));
        assert_eq!(platform(&elf(183, 0)), Some(("linux", "aarch64")));
        assert_eq!(platform(b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01"), Some(("macos", "aarch64")));
        assert_eq!(platform(b"garbage, long enough to be read"), None);
        assert_eq!(platform(b""), None);
        assert_eq!(elf_end(&elf(62, 120)), Some(120));
    }

    #[test]
    fn the_interpreter_of_a_test_is_not_onnx_runtime() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let garbage = root.path().join("libonnxruntime.so");
        fs_err::write(&garbage, b"garbage")?;
        assert!(matches!(inspect(&garbage), Err(RuntimeError::NotALibrary { .. })));
        assert!(matches!(inspect(root.path()), Err(RuntimeError::Folder { .. })));
        assert!(matches!(inspect(&root.path().join("none")), Err(RuntimeError::Io(_))));
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tells_truncated_and_foreign_libraries() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("libonnxruntime.so");
        let (own, foreign) = if cfg!(target_arch = "x86_64") { (62, 183) } else { (183, 62) };
        fs_err::write(&path, elf(own, 1 << 30))?;
        assert!(matches!(inspect(&path), Err(RuntimeError::Truncated { found_bytes: 120, .. })));
        fs_err::write(&path, elf(foreign, 120))?;
        assert!(matches!(inspect(&path), Err(RuntimeError::WrongMachine { .. })));
        Ok(())
    }
}
