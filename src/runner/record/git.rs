//! The commit of a pipeline's folder, asked of git without running what the repository names.

use std::path::Path;
use std::process::Stdio;

use super::provenance::Git;
use crate::base::program;

/// Settings that keep git from running programs: hooks, watchers of the file system, transports
/// for objects that are missing. A repository within the files of another counts as none.
const SAFE: [&str; 5] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    // Renamed files are looked for by their content, which may have to be fetched.
    "status.renames=false",
];

impl Git {
    /// Describes the repository of a folder; `None` without one, or without git 2.26 or later.
    ///
    /// A repository that came from elsewhere has settings of its own, some of which are commands.
    /// The filters of the user's own settings (such as Git LFS) stay, since git needs them to see
    /// what has changed; those of the repository are left out. Changes within submodules do not
    /// count.
    pub fn of(folder: &Path) -> Option<Git> {
        let commit = ask(folder, &[], &["rev-parse", "HEAD"])?.trim().to_owned();
        let filters = ask(folder, &[], &["config", "--show-scope", "-z", "--list"])?;
        let own = own_filters(&filters)?;
        let listed = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"];
        let dirty = !ask(folder, &own, &listed)?.trim().is_empty();
        Some(Git { commit, dirty })
    }
}

/// Returns what git answers; `None` if it fails.
fn ask(folder: &Path, settings: &[String], arguments: &[&str]) -> Option<String> {
    let mut command = program::command("git")?;
    // Without optional locks, this query never disturbs a git command of the user.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1");
    command.env("GIT_ALLOW_PROTOCOL", "").env("GIT_TERMINAL_PROMPT", "0");
    for setting in SAFE.into_iter().chain(settings.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    command.arg("-C").arg(folder).args(arguments).stderr(Stdio::null());
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the settings that put the user's own filters in the place of a repository's, from a list
/// of all settings with their scopes; `None` where that cannot be expressed.
fn own_filters(listed: &str) -> Option<Vec<String>> {
    let mut settings: Vec<(&str, Option<&str>)> = Vec::new();
    let mut words = listed.split('\0');
    while let (Some(scope), Some(setting)) = (words.next(), words.next()) {
        let (key, value) = setting.split_once('\n').unwrap_or((setting, "true"));
        let known = settings.iter().position(|(known, _)| *known == key);
        if !key.starts_with("filter.") {
            continue;
        }
        let trusted = ["system", "global", "command"].contains(&scope).then_some(value);
        match known {
            Some(place) if trusted.is_some() => settings[place].1 = trusted,
            Some(_) => {}
            None => settings.push((key, trusted)),
        }
    }
    settings
        .into_iter()
        .map(|(key, trusted)| {
            let is_switch = key.ends_with(".required");
            let value = trusted.unwrap_or(if is_switch { "false" } else { "" });
            // git takes the first of these signs for the end of the key.
            (!key.contains('=')).then(|| format!("{key}={value}"))
        })
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use fs_err as fs;

    type TestError = Box<dyn std::error::Error>;

    #[test]
    fn filters_of_the_user_stay_and_others_go() {
        let listed = "local\0core.bare\nfalse\0global\0filter.lfs.clean\ngit-lfs clean\0\
                      global\0filter.lfs.required\0local\0filter.lfs.clean\nevil\0local\0filter.x.process\nevil\0\
                      worktree\0filter.x.required\ntrue\0";
        let expected = [
            "filter.lfs.clean=git-lfs clean",
            "filter.lfs.required=true",
            "filter.x.process=",
            "filter.x.required=false",
        ];
        assert_eq!(own_filters(listed), Some(expected.map(str::to_owned).into()));
        assert_eq!(own_filters(""), Some(Vec::new()));
        assert_eq!(own_filters("local\0filter.a=b.clean\nevil\0"), None);
    }

    #[test]
    fn a_repository_is_described_and_runs_nothing() -> Result<(), TestError> {
        let root = tempfile::tempdir()?;
        let (folder, ran) = (root.path().join("project"), root.path().join("ran"));
        fs::create_dir(&folder)?;
        let git = |arguments: &[&str]| -> Result<(), TestError> {
            let mut command = program::command("git").ok_or("no git")?;
            command.args(["-c", "user.name=x", "-c", "user.email=x@y", "-C"]).arg(&folder);
            let output = command.args(arguments).output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
            }
        };
        assert_eq!(Git::of(&folder), None);
        git(&["init", "-q"])?;
        for name in ["a", "b"] {
            fs::write(folder.join(name), "one\n")?;
        }
        fs::write(folder.join(".gitattributes"), "a filter=x\nb filter=y\n")?;
        git(&["add", "."])?;
        git(&["commit", "-qm", "x"])?;
        let clean = Git::of(&folder).ok_or("no commit")?;
        assert!(clean.commit.len() >= 40 && !clean.dirty);

        // From here on, every git command of the user would run what the repository names.
        let trap = root.path().join("trap");
        fs::write(&trap, format!("#!/bin/sh\necho x >> '{}'\ncat\n", ran.display()))?;
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&trap, mode)?;
        let trap = trap.display().to_string();
        for key in ["core.fsmonitor", "filter.x.clean", "filter.y.process", "core.pager"] {
            git(&["config", key, &trap])?;
        }
        git(&["config", "filter.x.required", "true"])?;
        // Their content is the same, but git has to look.
        fs::write(folder.join("a"), "one\n")?;
        assert_eq!(Git::of(&folder), Some(clean.clone()));
        fs::write(folder.join("b"), "two\n")?;
        assert_eq!(Git::of(&folder), Some(Git { dirty: true, ..clean }));
        assert!(!ran.exists(), "a program of the repository was run");
        Ok(())
    }
}
