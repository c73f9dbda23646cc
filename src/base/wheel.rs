//! Python packages (wheels) as containers of files: downloaded with the user's `pip` or `uv`, and
//! opened as zip archives.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::limit::{Limit, LimitError, PACKAGE};
use super::program;
use super::report::{Progress, Report};

/// The Python version for which wheels are chosen, independent of the user's Python.
const PYTHON: &str = "3.12";

/// A request for a wheel.
#[derive(Clone, Copy, Debug)]
pub struct Wheel<'a> {
    /// The package's name.
    pub name: &'a str,
    /// The version; `None` for the newest.
    pub version: Option<&'a str>,
    /// The SHA-256 of the file in hexadecimal digits, if it is pinned.
    pub sha256: Option<&'a str>,
    /// The platform tag, such as `manylinux_2_28_x86_64`; `None` for packages that run anywhere.
    pub platform: Option<&'a str>,
}

/// A wheel that cannot be fetched or opened.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum WheelError {
    #[error("`{requirement}` cannot be downloaded: neither `pip` nor `uv` was found")]
    #[diagnostic(help(
        "install Python with pip, or uv, and check that `python3 -m pip --version` works"
    ))]
    NoInstaller { requirement: String },

    #[error("`{requirement}` cannot be downloaded: the package index cannot be reached ({detail})")]
    #[diagnostic(help(
        "check the network and pip's package index: `pip config list`, `PIP_INDEX_URL`"
    ))]
    Unreachable { requirement: String, detail: String },

    #[error("the package index has no wheel `{requirement}` for this machine")]
    #[diagnostic(help("check the name and the version: `pip index versions {name}`"))]
    NotFound { requirement: String, name: String },

    #[error("`{command}` could not download `{requirement}`: {detail}")]
    Failed { requirement: String, command: String, detail: String },

    #[error("`{file}` has the wrong content: expected SHA-256 `{expected}`, found `{found}`")]
    #[diagnostic(help(
        "the package index serves different content from the public one; ask its operator, or set \
         `PIP_INDEX_URL` to another index"
    ))]
    Sha256 { file: String, expected: String, found: String },

    #[error("`{file}` cannot be read as a zip archive: {detail}")]
    #[diagnostic(help("the download may be damaged; run `pip cache purge` and try again"))]
    Archive { file: String, detail: String },

    #[error("`{file}` has a member with the unsafe name `{member}`")]
    #[diagnostic(help("the package may be meant to do harm; use another one"))]
    UnsafeMember { file: String, member: String },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Limit(#[from] LimitError),

    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Wheel<'_> {
    /// Returns the wheel in pip's notation: `name==version`, or the name alone.
    pub fn requirement(&self) -> String {
        match self.version {
            Some(version) => format!("{}=={version}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// Downloads a wheel into `folder`, checks its digest if one is pinned, and returns its path.
///
/// The installer works in an empty folder within `folder`. In the user's, Python would take a
/// `pip.py` for pip, and uv would read its settings.
pub fn fetch(wheel: &Wheel<'_>, folder: &Path, report: &dyn Report) -> Result<PathBuf, WheelError> {
    let requirement = wheel.requirement();
    let (target, scratch) = (folder.join("wheel"), folder.join("scratch"));
    let (empty, log) = (folder.join("empty"), folder.join("log"));
    for own in [&target, &scratch, &empty] {
        fs::create_dir_all(own)?;
    }
    let installer = installer(&empty)
        .ok_or_else(|| WheelError::NoInstaller { requirement: requirement.clone() })?;
    report.note(&format!("downloading `{requirement}` with `{}`", installer.join(" ")));
    let output = fs::File::create(&log)?;
    let errors = output.try_clone()?;
    let mut child = within(installer, &empty)
        .ok_or_else(|| WheelError::NoInstaller { requirement: requirement.clone() })?
        .args(arguments(wheel, &target))
        .envs(environment(&scratch))
        .stdout(Stdio::from(output.into_parts().0))
        .stderr(Stdio::from(errors.into_parts().0))
        .spawn()?;

    let activity = format!("downloading {requirement}");
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let done = size_of(&scratch).max(size_of(&target));
        report.progress(&Progress {
            activity: &activity,
            done,
            total: None,
            unit: "bytes",
            detail: "",
        });
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        return Err(failure(wheel, &installer.join(" "), &log));
    }

    let found = fs::read_dir(&target)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| WheelError::NotFound { requirement, name: wheel.name.to_owned() })?;
    if let Some(expected) = wheel.sha256 {
        let digest = sha256_of(&found)?;
        if !digest.eq_ignore_ascii_case(expected) {
            return Err(WheelError::Sha256 {
                file: file_name(&found),
                expected: expected.to_owned(),
                found: digest,
            });
        }
    }
    Ok(found)
}

/// Returns the names of a wheel's files, in the order of the archive.
pub fn members(wheel: &Path) -> Result<Vec<String>, WheelError> {
    let archive = open(wheel)?;
    archive
        .file_names()
        .map(|name| Ok(name.map_err(|error| broken(wheel, &error))?.into_owned()))
        .collect()
}

/// Extracts the members for which `pick` returns a path, to that path under `folder`. Returns their
/// number. They may take as much as [`Limit`] says: the directory is read first, but what comes
/// out of a member counts, whatever stands there.
pub fn extract(
    wheel: &Path,
    folder: &Path,
    pick: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, WheelError> {
    let limit = Limit::of(Path::new(&file_name(wheel)), fs::metadata(wheel)?.len(), PACKAGE)?;
    extract_within(&limit, wheel, folder, pick)
}

fn extract_within(
    limit: &Limit,
    wheel: &Path,
    folder: &Path,
    pick: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, WheelError> {
    let mut archive = open(wheel)?;
    let mut announced: u64 = 0;
    for index in 0..archive.len() {
        let member = archive.by_index(index).map_err(|error| broken(wheel, &error))?;
        let name = member.name().map_err(|error| broken(wheel, &error))?;
        if !name.ends_with('/') && pick(&name).is_some() {
            announced = announced.saturating_add(member.size());
        }
    }
    limit.check(announced)?;
    let mut count = 0;
    let mut total: u64 = 0;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| broken(wheel, &error))?;
        let name = member.name().map_err(|error| broken(wheel, &error))?.into_owned();
        if name.ends_with('/') {
            continue;
        }
        let Some(relative) = pick(&name) else { continue };
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || relative.as_os_str().is_empty() {
            return Err(WheelError::UnsafeMember { file: file_name(wheel), member: name });
        }
        let path = folder.join(relative);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // A symbolic link would become a file that contains its target, which is useless.
        let mut file = fs::File::create(&path)?;
        let left = limit.most().saturating_sub(total).saturating_add(1);
        let copied = io::copy(&mut member.by_ref().take(left), &mut file);
        total += copied.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => {
                WheelError::Archive { file: file_name(wheel), detail: format!("`{name}`: {error}") }
            }
            _ => WheelError::Io(error),
        })?;
        limit.check(total)?;
        file.sync_all()?;
        count += 1;
    }
    Ok(count)
}

/// Returns the SHA-256 of a file in hexadecimal digits, as in package indexes.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn open(wheel: &Path) -> Result<zip::ZipArchive<io::BufReader<fs::File>>, WheelError> {
    zip::ZipArchive::new(io::BufReader::new(fs::File::open(wheel)?))
        .map_err(|error| broken(wheel, &error))
}

fn broken(wheel: &Path, error: &dyn std::fmt::Display) -> WheelError {
    WheelError::Archive { file: file_name(wheel), detail: error.to_string() }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the command line of the first installer that works. `uv` has no `download` command, so
/// it runs pip as a tool.
fn installer(empty: &Path) -> Option<&'static [&'static str]> {
    const PIPS: [&[&str]; 5] = [
        &["python3", "-m", "pip"],
        &["python", "-m", "pip"],
        &["pip3"],
        &["pip"],
        &["py", "-m", "pip"],
    ];
    const UV: &[&str] = &["uv", "tool", "run", "--quiet", "pip"];
    let answers = |command: &[&str]| {
        within(command, empty).is_some_and(|mut command| {
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    };
    PIPS.into_iter().find(|command| answers(command)).or_else(|| answers(&UV[..1]).then_some(UV))
}

/// Returns the path of the interpreter behind a name. A manager of versions (pyenv, asdf, mise)
/// puts a program of the name in the `PATH` that chooses by the working folder, so it is asked in
/// the user's; `-I` keeps the interpreter from reading anything there.
fn python(name: &str) -> Option<PathBuf> {
    let mut command = program::command(name)?;
    let command = command.args(["-I", "-c", "import sys; print(sys.executable)"]);
    let output = command.stderr(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (output.status.success() && path.is_absolute()).then_some(path)
}

/// Returns a command that runs in an empty folder. It ends with this process, whose caller waits
/// for it.
fn within(command: &[&str], empty: &Path) -> Option<Command> {
    let (name, arguments) = command.split_first()?;
    let mut command = match arguments.first() {
        Some(&"-m") => program::command_at(&python(name)?),
        _ => program::command(name)?,
    };
    command.args(arguments).current_dir(empty);
    command.envs(settings_of_files(&|name| std::env::var_os(name)));
    Some(command)
}

/// Returns the variables of the network's settings that name files relative to the working folder
/// of the user, with their full paths.
fn settings_of_files(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<(&'static str, OsString)> {
    const FILES: [&str; 9] = [
        "PIP_CONFIG_FILE",
        "PIP_CERT",
        "PIP_CLIENT_CERT",
        "PIP_CACHE_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NETRC",
    ];
    // Addresses may stand beside folders.
    const LISTS: [&str; 4] =
        ["PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"];
    let full = |path: &Path| {
        let is_here = path.is_relative() && path.exists();
        if is_here { std::path::absolute(path).ok() } else { None }
    };
    let file = |name| Some((name, full(Path::new(&variable(name)?))?.into_os_string()));
    let list = |name| {
        let value = variable(name)?.into_string().ok()?;
        let words = value.split_whitespace().map(|word| match full(Path::new(word)) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => word.to_owned(),
        });
        let words = words.collect::<Vec<_>>().join(" ");
        (words != value).then(|| (name, words.into()))
    };
    FILES.into_iter().filter_map(file).chain(LISTS.into_iter().filter_map(list)).collect()
}

fn arguments(wheel: &Wheel<'_>, target: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--progress-bar=off",
        "--python-version",
        PYTHON,
    ]
    .map(Into::into)
    .into();
    if let Some(platform) = wheel.platform {
        let abi = format!("cp{}", PYTHON.replace('.', ""));
        arguments.extend(
            ["--platform", platform, "--implementation", "cp", "--abi", &abi].map(Into::into),
        );
    }
    // A requirement is never taken for an option.
    arguments.extend(["--dest".into(), target.into(), "--".into(), wheel.requirement().into()]);
    arguments
}

/// Returns pip's settings for a run without prompts and with little output. Its temporary files go
/// to a folder whose growth is measured; the user's network settings stay.
fn environment(scratch: &Path) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&str, OsString)> = vec![
        ("PIP_NO_INPUT", "1".into()),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1".into()),
        ("PIP_REQUIRE_VIRTUALENV", "0".into()),
        ("PYTHONIOENCODING", "utf-8".into()),
        ("TMPDIR", scratch.into()),
        ("TEMP", scratch.into()),
        ("TMP", scratch.into()),
    ];
    let unset = |name: &str| std::env::var_os(name).is_none();
    if unset("PIP_RETRIES") {
        variables.push(("PIP_RETRIES", "2".into()));
    }
    // Users of uv may set the index in uv's variables only.
    if unset("PIP_INDEX_URL")
        && let Some(index) =
            std::env::var_os("UV_DEFAULT_INDEX").or_else(|| std::env::var_os("UV_INDEX_URL"))
    {
        variables.push(("PIP_INDEX_URL", index));
    }
    variables
}

/// Returns the error that pip's log describes. The network is checked first, because pip also ends
/// a failed connection with `No matching distribution`.
fn failure(wheel: &Wheel<'_>, command: &str, log: &str) -> WheelError {
    // Specific messages come before the names of Python's exceptions.
    const NETWORK: [(&str, &str); 11] = [
        ("Temporary failure in name resolution", "its host's name cannot be resolved"),
        ("Name or service not known", "its host's name is not known"),
        ("nodename nor servname provided", "its host's name is not known"),
        ("Network is unreachable", "the network is unreachable"),
        ("Connection refused", "the connection was refused"),
        ("timed out", "the connection timed out"),
        ("ProxyError", "the proxy refused"),
        ("SSLError", "the TLS connection failed"),
        ("ConnectionError", "the connection failed"),
        ("Max retries exceeded", "the connection failed"),
        ("HTTP error", "it answered with an error"),
    ];
    let requirement = wheel.requirement();
    if log.contains("No space left on device") {
        return WheelError::Io(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("no space is left on the device to download `{requirement}`"),
        ));
    }
    if let Some((_, detail)) = NETWORK.into_iter().find(|(sign, _)| log.contains(sign)) {
        return WheelError::Unreachable { requirement, detail: detail.to_owned() };
    }
    if log.contains("No matching distribution found") {
        return WheelError::NotFound { requirement, name: wheel.name.to_owned() };
    }
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let detail = lines()
        .rfind(|line| line.starts_with("ERROR"))
        .or_else(|| lines().next_back())
        .unwrap_or("there was no output");
    let detail = detail.trim_start_matches("ERROR:").trim().to_owned();
    WheelError::Failed { requirement, command: command.to_owned(), detail }
}

/// Returns the total size of all files under a folder; files that vanish meanwhile count as 0.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some(if data.is_dir() { size_of(&entry.path()) } else { data.len() })
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive(path: &Path, members: &[(&str, &[u8])]) -> io::Result<()> {
        let mut writer = zip::ZipWriter::new(fs::File::create(path)?);
        for (name, content) in members {
            writer
                .start_file(*name, zip::write::SimpleFileOptions::default())
                .map_err(io::Error::other)?;
            writer.write_all(content)?;
        }
        writer.finish().map_err(io::Error::other)?;
        Ok(())
    }

    #[test]
    fn extracts_what_is_picked_and_nothing_outside_the_folder() -> Result<(), WheelError> {
        let root = tempfile::tempdir()?;
        let wheel = root.path().join("a.whl");
        archive(
            &wheel,
            &[("pkg/model/config.json", b"{}"), ("pkg/__init__.py", b""), ("../evil", b"x")],
        )?;
        assert_eq!(members(&wheel)?.len(), 3);
        let folder = root.path().join("out");
        let count =
            extract(&wheel, &folder, |name| name.strip_prefix("pkg/model/").map(PathBuf::from))?;
        assert_eq!(count, 1);
        assert_eq!(fs::read(folder.join("config.json"))?, b"{}");
        let evil = extract(&wheel, &folder, |name| Some(PathBuf::from(name)));
        assert!(
            matches!(evil, Err(WheelError::UnsafeMember { member, .. }) if member == "../evil")
        );
        assert!(!root.path().join("evil").exists());
        Ok(())
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() -> Result<(), WheelError> {
        const SIZE: u32 = 300_000;
        let root = tempfile::tempdir()?;
        let wheel = root.path().join("bomb.whl");
        archive(&wheel, &[("a", &[0; SIZE as usize]), ("b", &[0; SIZE as usize])])?;
        assert!(fs::metadata(&wheel)?.len() < 10_000);
        let extracted = |least: u64| {
            let folder = root.path().join("out");
            let limit = Limit::of(&wheel, 0, least)?;
            let outcome = extract_within(&limit, &wheel, &folder, |name| Some(PathBuf::from(name)));
            let size = size_of(&folder);
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            Ok::<_, WheelError>((outcome, size))
        };
        let whole = 2 * u64::from(SIZE);
        assert!(matches!(extracted(whole)?, (Ok(2), size) if size == whole));
        // The directory tells: nothing is written.
        assert!(matches!(extracted(whole - 1)?, (Err(WheelError::Limit(_)), 0)));
        // A directory that lies.
        let mut bytes = fs::read(&wheel)?;
        let (told, lied) = (SIZE.to_le_bytes(), 10_u32.to_le_bytes());
        while let Some(at) = bytes.windows(4).position(|four| four == told) {
            bytes[at..at + 4].copy_from_slice(&lied);
        }
        fs::write(&wheel, bytes)?;
        let (outcome, size) = extracted(1000)?;
        assert!(outcome.is_err() && size <= 1001, "{outcome:?}: {size} bytes");
        Ok(())
    }

    #[test]
    fn what_the_user_names_is_found_from_another_folder() {
        let variable = |name: &str| match name {
            "PIP_CERT" => Some("Cargo.toml".into()),
            "SSL_CERT_FILE" => Some("/etc/none.pem".into()),
            "PIP_FIND_LINKS" => Some("src https://example.org/ none".into()),
            "PIP_INDEX_URL" => Some("https://example.org/".into()),
            _ => None,
        };
        let full =
            |name: &str| std::path::absolute(name).map(PathBuf::into_os_string).unwrap_or_default();
        let mut links = full("src");
        links.push(" https://example.org/ none");
        let expected = [("PIP_CERT", full("Cargo.toml")), ("PIP_FIND_LINKS", links)];
        assert_eq!(settings_of_files(&variable), expected);
    }

    #[test]
    fn says_what_a_damaged_archive_is() -> Result<(), WheelError> {
        let root = tempfile::tempdir()?;
        let wheel = root.path().join("a.whl");
        fs::write(&wheel, b"not a zip archive")?;
        assert!(
            matches!(members(&wheel), Err(WheelError::Archive { file, .. }) if file == "a.whl")
        );
        // One flipped byte of the content must be detected.
        archive(&wheel, &[("file", &[7; 1000])])?;
        let mut bytes = fs::read(&wheel)?;
        bytes[36] ^= 0xff;
        fs::write(&wheel, bytes)?;
        let result = extract(&wheel, &root.path().join("out"), |name| Some(PathBuf::from(name)));
        assert!(matches!(result, Err(WheelError::Archive { .. })), "{result:?}");
        Ok(())
    }

    #[test]
    fn sha256_is_that_of_the_standard() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("abc");
        fs::write(&path, b"abc")?;
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256_of(&path)?,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        Ok(())
    }

    #[test]
    fn tells_a_closed_network_from_an_unknown_package() {
        let wheel = Wheel { name: "x", version: Some("1"), sha256: None, platform: None };
        let closed = "WARNING: Retrying after NewConnectionError('…: Network is \
                      unreachable')\nERROR: No matching distribution found for x==1\n";
        assert!(matches!(failure(&wheel, "pip", closed), WheelError::Unreachable { .. }));
        let unknown =
            "ERROR: Could not find a version\nERROR: No matching distribution found for x==1\n";
        assert!(matches!(failure(&wheel, "pip", unknown), WheelError::NotFound { .. }));
        let other = "Looking in indexes\nERROR: something else\n";
        let WheelError::Failed { detail, .. } = failure(&wheel, "pip", other) else {
            panic!("any other failure is passed on");
        };
        assert_eq!(detail, "something else");
    }
}
