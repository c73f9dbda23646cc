//! What the hub's environment variables say, read as Python's `huggingface_hub` reads them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The public hub.
const ENDPOINT: &str = "https://huggingface.co";

/// The variables that name a file of trusted certificates, as other programs read them.
const CERTIFICATES: [&str; 3] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];

/// Where the hub and its cache are, and how to speak to the hub.
#[derive(Clone)]
pub(super) struct Settings {
    /// The folder of the cache; `None` where the user has no home folder to hold it.
    pub(super) cache: Option<PathBuf>,
    /// The hub's address, without a slash at its end.
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    /// The variable that forbids the network, where one does.
    pub(super) offline: Option<&'static str>,
    /// The file of trusted certificates, with the variable that names it; `None` for the program's
    /// own list.
    pub(super) certificates: Option<(&'static str, PathBuf)>,
    pub(super) proxy: Option<ureq::Proxy>,
    pub(super) patience: Patience,
}

/// How long to wait for what.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// For the next bytes of an answer.
    pub(super) silence: Duration,
    /// Before the first retry; each later one waits twice as long.
    pub(super) pause: Duration,
}

impl Settings {
    pub(super) fn from_environment() -> Settings {
        Settings::read(&|name| std::env::var_os(name), std::env::home_dir().as_deref())
    }

    /// Reads the variables that `variable` gives. An empty one counts as unset.
    pub(super) fn read(
        variable: &dyn Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
    ) -> Settings {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| {
            let path = PathBuf::from(set(name)?);
            Some(match (path.strip_prefix("~"), home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => path,
            })
        };
        let yes = |name: &&str| {
            let value = text(name).unwrap_or_default().to_ascii_uppercase();
            matches!(value.as_str(), "1" | "ON" | "YES" | "TRUE")
        };

        // Never relative to the working folder by itself: models and a token would be taken from
        // whoever made that folder.
        let hub_home = path("HF_HOME").or_else(|| {
            let cache = path("XDG_CACHE_HOME").filter(|cache| cache.is_absolute());
            let usual = || home.filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
            Some(cache.or_else(usual)?.join("huggingface"))
        });
        let within = |name: &str| hub_home.as_ref().map(|hub_home| hub_home.join(name));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| within("hub"));
        let token_file = path("HF_TOKEN_PATH").or_else(|| within("token"));
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| fs_err::read_to_string(token_file?).ok())
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Settings {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(yes),
            // A folder of certificates, which some of them may name, is left to OpenSSL.
            certificates: CERTIFICATES
                .into_iter()
                .find_map(|name| Some((name, path(name)?)))
                .filter(|(_, path)| !path.is_dir()),
            proxy: ureq::Proxy::try_from_env(),
            patience: Patience {
                connect: Duration::from_secs(10),
                silence: Duration::from_secs(30),
                pause: Duration::from_secs(1),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        let variable = |name: &str| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into())
        };
        Settings::read(&variable, Some(Path::new("/reader")))
    }

    #[test]
    fn the_cache_is_that_of_python() {
        let cache = |variables: &[(&str, &str)]| read(variables).cache.unwrap_or_default();
        assert_eq!(cache(&[]), Path::new("/reader/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        let home = [("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")];
        assert_eq!(cache(&home), Path::new("/reader/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/old"));
        let usual = Path::new("/reader/.cache/huggingface/hub");
        assert_eq!(cache(&[("HF_HOME", "")]), usual);
        // A relative folder of caches counts as none.
        assert_eq!(cache(&[("XDG_CACHE_HOME", "cache")]), usual);
    }

    #[test]
    fn without_a_home_nothing_is_taken_from_the_working_folder() {
        let homes = [None, Some(Path::new("")), Some(Path::new("home"))];
        for home in homes {
            let settings = Settings::read(&|_| None, home);
            assert_eq!((settings.cache, settings.token), (None, None));
        }
        let named = |name: &str| (name == "HF_HUB_CACHE").then(|| "/c".into());
        assert_eq!(Settings::read(&named, None).cache, Some(PathBuf::from("/c")));
    }

    #[test]
    fn a_token_comes_from_its_variable_or_its_file() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let home = root.path().to_string_lossy().into_owned();
        assert_eq!(read(&[("HF_HOME", &home)]).token, None);
        fs_err::write(root.path().join("token"), "hf_file\n")?;
        assert_eq!(read(&[("HF_HOME", &home)]).token.as_deref(), Some("hf_file"));
        let both = [("HF_HOME", home.as_str()), ("HF_TOKEN", " hf_variable\n")];
        assert_eq!(read(&both).token.as_deref(), Some("hf_variable"));
        Ok(())
    }

    #[test]
    fn switches_and_addresses_are_read() {
        for (value, offline) in
            [("1", true), ("true", true), ("Yes", true), ("on", true), ("0", false), ("", false)]
        {
            let read = read(&[("HF_HUB_OFFLINE", value)]);
            assert_eq!(read.offline, offline.then_some("HF_HUB_OFFLINE"), "{value}");
        }
        assert_eq!(read(&[("TRANSFORMERS_OFFLINE", "1")]).offline, Some("TRANSFORMERS_OFFLINE"));
        assert_eq!(read(&[]).endpoint, "https://huggingface.co");
        assert_eq!(read(&[("HF_ENDPOINT", "http://mirror/")]).endpoint, "http://mirror");
        let bundle = [("SSL_CERT_FILE", "/a.pem"), ("REQUESTS_CA_BUNDLE", "/b.pem")];
        let named = Some(("REQUESTS_CA_BUNDLE", PathBuf::from("/b.pem")));
        assert_eq!(read(&bundle).certificates, named);
        assert_eq!(read(&[("SSL_CERT_FILE", "/")]).certificates, None);
    }
}
