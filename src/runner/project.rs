//! The folder of a pipeline's cache and runs.

use std::io;
use std::path::{Path, PathBuf};

use crate::pipeline::spec::STDIN;
use crate::runner::error::RunError;

/// The folder that holds `.pipe` and `runs`.
///
/// It is the nearest folder at or above the pipeline file that has `.pipe`, `.git` or `Cargo.toml`,
/// else the file's own folder. All pipelines of a repository therefore share one cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub root: PathBuf,
}

const MARKS: [&str; 3] = [".pipe", ".git", "Cargo.toml"];

impl Project {
    /// Finds the project of a pipeline file.
    pub fn of_file(file: &Path) -> io::Result<Project> {
        let file = std::path::absolute(file)?;
        Ok(Project::of_folder(file.parent().unwrap_or(Path::new("/"))))
    }

    /// Finds the project of a pipeline; one that came through a pipe has the working folder's.
    pub fn of_pipeline(file: &Path) -> Result<Project, RunError> {
        if file == Path::new(STDIN) { Project::here() } else { Ok(Project::of_file(file)?) }
    }

    /// Finds the project of a folder, for commands that take no pipeline file.
    pub fn of_folder(folder: &Path) -> Project {
        let marked =
            folder.ancestors().find(|folder| MARKS.iter().any(|mark| folder.join(mark).exists()));
        Project { root: marked.unwrap_or(folder).to_owned() }
    }

    /// Finds the project of the working folder.
    pub fn here() -> Result<Project, RunError> {
        Ok(Project::of_folder(&std::path::absolute(".")?))
    }

    /// Returns the folder of `pipe`'s own state.
    pub fn state(&self) -> PathBuf {
        self.root.join(".pipe")
    }

    /// Returns the folder of runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Returns a pipeline's path for records: relative to the root, unless it came through a pipe.
    pub fn pipeline(&self, file: &Path) -> String {
        if file == Path::new(STDIN) { STDIN.to_owned() } else { self.relative(file) }
    }

    /// Returns a path relative to the root if it is below it, for records that survive a move.
    pub fn relative(&self, path: &Path) -> String {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.strip_prefix(&self.root).unwrap_or(&absolute).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mark_decides() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let deep = folder.path().join("a/b");
        fs_err::create_dir_all(&deep)?;
        fs_err::write(folder.path().join("Cargo.toml"), "")?;
        let file = deep.join("x.yaml");
        assert_eq!(Project::of_file(&file)?.root, folder.path());
        fs_err::create_dir(folder.path().join("a/.git"))?;
        let project = Project::of_file(&file)?;
        assert_eq!(project.root, folder.path().join("a"));
        assert_eq!(project.relative(&file), "b/x.yaml");
        Ok(())
    }
}
