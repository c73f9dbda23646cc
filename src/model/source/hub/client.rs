//! Requests to the hub: redirects, retries, and what its errors mean.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Error, ResponseExt, Timeout};

use super::address::{host, is_same_origin, is_web, keeps_tls, target};
use super::cache::{is_commit, is_etag};
use super::settings::Settings;
use crate::base::report::Report;
use crate::model::error::ModelError;

/// How often a request is tried again, and how many redirects one may take.
const RETRIES: u32 = 5;
const REDIRECTS: usize = 10;

/// The longest that a busy hub may ask to be left alone: its limits count requests in windows of
/// five minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Speaks to the hub about one revision of one repository.
pub(super) struct Client<'a> {
    agent: Agent,
    hub: Uri,
    settings: &'a Settings,
    repository: &'a str,
    revision: &'a str,
    report: &'a dyn Report,
    /// Whether any server has answered: without that, the network is not there at all.
    reached: Cell<bool>,
}

/// A revision's commit and the names of its files.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// What the hub announces of a file.
pub(super) struct Announced {
    /// The name of the content: its SHA-256 for large files, git's own digest for others.
    pub(super) etag: String,
    pub(super) size: u64,
}

/// Why one try brought nothing.
pub(super) enum Trouble {
    /// No connection; tried again only where there was one before.
    Unreachable(String),
    /// It may be over soon. A busy hub can say how long it wants to be left alone.
    Passing { detail: String, wait: Option<Duration> },
    /// Another try would bring the same.
    Final(ModelError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Final(error.into())
    }
}

impl Announced {
    /// Returns the SHA-256 that the content must have, where the etag is one.
    pub(super) fn sha256(&self) -> Option<&str> {
        (self.etag.len() == 64).then_some(self.etag.as_str())
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        repository: &'a str,
        revision: &'a str,
        report: &'a dyn Report,
    ) -> Result<Client<'a>, ModelError> {
        let failed =
            |detail| ModelError::Hub { reference: reference(repository, revision), detail };
        let endpoint = &settings.endpoint;
        let hub = endpoint.parse().ok().filter(is_web).ok_or_else(|| {
            failed(format!(
                "`HF_ENDPOINT` is `{endpoint}`; an address such as `https://huggingface.co` \
                 expected"
            ))
        })?;
        let tls = TlsConfig::builder().root_certs(roots(settings).map_err(failed)?).build();
        let agent = Agent::config_builder()
            .user_agent(concat!("pipe/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(settings.proxy.clone())
            .tls_config(tls)
            .timeout_connect(Some(settings.patience.connect))
            .timeout_per_read(Some(settings.patience.silence))
            .build()
            .new_agent();
        let reached = Cell::new(false);
        Ok(Client { agent, hub, settings, repository, revision, report, reached })
    }

    /// Asks which files the revision has.
    pub(super) fn listing(&self) -> Result<Listing, ModelError> {
        #[derive(Deserialize)]
        struct Info {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let revision = self.revision.replace('/', "%2F");
        let path = format!("api/models/{}/revision/{revision}", self.repository);
        let text = self.patiently("the list of files", || {
            let mut response = self.send(Method::GET, &path, None, 0)?;
            let url = response.get_uri().clone();
            response.body_mut().read_to_string().map_err(|error| self.trouble(&url, error))
        })?;
        let info: Info = serde_json::from_str(&text)
            .map_err(|error| self.failed(format!("its list of files cannot be read: {error}")))?;
        if !is_commit(&info.sha) {
            return Err(self.failed("its list of files names no commit"));
        }
        if is_commit(self.revision) && !self.revision.eq_ignore_ascii_case(&info.sha) {
            return Err(self.failed(format!("it gives the commit {} instead", info.sha)));
        }
        let names = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit: info.sha, names })
    }

    /// Asks what a file of a commit is, without fetching it.
    pub(super) fn announced(&self, commit: &str, name: &str) -> Result<Announced, ModelError> {
        let path = self.path(commit, name);
        let response = self.patiently(name, || self.send(Method::HEAD, &path, Some(name), 0))?;
        let without = |header: &str| {
            self.failed(format!(
                "the answer about `{name}` has no valid `{header}`, as a hub's answer has"
            ))
        };
        if header(&response, "x-repo-commit") != Some(commit) {
            return Err(without("X-Repo-Commit"));
        }
        // Of a redirect, etag and length are those of the redirect itself.
        let own = |name: &str| header(&response, name).filter(|_| response.status().is_success());
        let etag = header(&response, "x-linked-etag")
            .or_else(|| own("etag"))
            .map(|etag| etag.trim_start_matches("W/").trim_matches('"'))
            .filter(|etag| is_etag(etag))
            .ok_or_else(|| without("ETag"))?;
        let size = header(&response, "x-linked-size")
            .or_else(|| own("content-length"))
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| without("Content-Length"))?;
        Ok(Announced { etag: etag.to_owned(), size })
    }

    /// Begins to fetch a file's content, from a byte on. The answer is 416 where there is no such
    /// byte.
    pub(super) fn content(
        &self,
        commit: &str,
        name: &str,
        from: u64,
    ) -> Result<Response<Body>, Trouble> {
        self.send(Method::GET, &self.path(commit, name), Some(name), from)
    }

    /// Does what may fail for a moment, up to six times.
    pub(super) fn patiently<T>(
        &self,
        what: &str,
        mut once: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, ModelError> {
        let mut tries = 0;
        loop {
            let (detail, wait) = match once() {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing { detail, wait }) => (detail, wait),
                Err(Trouble::Unreachable(detail)) if self.reached.get() => (detail, None),
                Err(Trouble::Unreachable(detail)) => return Err(self.failed(detail)),
            };
            let wait = wait.unwrap_or(self.settings.patience.pause * 2_u32.pow(tries));
            let seconds = wait.as_secs_f64().ceil();
            if wait > LONGEST_WAIT {
                return Err(self.failed(format!("{detail}, and asks to wait {seconds} s")));
            }
            if tries == RETRIES {
                return Err(self.failed(format!("{what}: {detail}, {} times", tries + 1)));
            }
            self.report.note(&format!("{what}: {detail}; trying again in {seconds} s"));
            std::thread::sleep(wait);
            tries += 1;
        }
    }

    /// Says that the model cannot be fetched, and why.
    pub(super) fn failed(&self, detail: impl Into<String>) -> ModelError {
        ModelError::Hub { reference: self.reference(), detail: detail.into() }
    }

    /// Returns the model as a pipeline file names it.
    pub(super) fn reference(&self) -> String {
        reference(self.repository, self.revision)
    }

    fn path(&self, commit: &str, name: &str) -> String {
        format!("{}/resolve/{commit}/{name}", self.repository)
    }

    /// Sends one request and follows its redirects. The token goes to the hub's own address alone.
    /// A question about a file ends where the redirects leave the hub: the answer is in the
    /// redirect, and the address behind it serves content only.
    fn send(
        &self,
        method: Method,
        path: &str,
        file: Option<&str>,
        from: u64,
    ) -> Result<Response<Body>, Trouble> {
        let wrong = |detail: String| Trouble::Final(self.failed(detail));
        let address = format!("{}/{path}", self.settings.endpoint);
        let mut url: Uri =
            address.parse().map_err(|_| wrong(format!("`{address}` is no address")))?;
        for _ in 0..=REDIRECTS {
            let at_hub = is_same_origin(&url, &self.hub);
            // Compressed content has another length, and parts of it mean nothing.
            let mut request =
                Request::builder().method(&method).uri(&url).header("accept-encoding", "identity");
            if let Some(token) = self.settings.token.as_ref().filter(|_| at_hub) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if from > 0 {
                request = request.header("range", format!("bytes={from}-"));
            }
            let request = request
                .body(())
                .map_err(|_| wrong("the token has signs that no header may have".to_owned()))?;
            let response = self.agent.run(request).map_err(|error| self.trouble(&url, error))?;
            self.reached.set(true);
            if !response.status().is_redirection() {
                return self.checked(response, &url, file);
            }
            let next = header(&response, "location")
                .and_then(|location| target(&url, location))
                .ok_or_else(|| wrong(format!("{} redirects to no address", host(&url))))?;
            let told = ["x-repo-commit", "x-linked-etag", "x-linked-size"]
                .iter()
                .all(|name| header(&response, name).is_some());
            if method == Method::HEAD && (told || !is_same_origin(&next, &self.hub)) {
                return Ok(response);
            }
            if !keeps_tls(&url, &next) {
                return Err(wrong(format!("{} redirects to a place without TLS", host(&url))));
            }
            url = next;
        }
        Err(wrong(format!("it redirects more than {REDIRECTS} times")))
    }

    /// Reads out of an answer's status what went wrong.
    fn checked(
        &self,
        response: Response<Body>,
        url: &Uri,
        file: Option<&str>,
    ) -> Result<Response<Body>, Trouble> {
        let status = response.status().as_u16();
        if status < 400 || status == 416 {
            return Ok(response);
        }
        let said = match header(&response, "x-error-message") {
            Some(message) => {
                let message = message.get(..200).unwrap_or(message);
                format!("{} answered {status}: {message}", host(url))
            }
            None => format!("{} answered {status}", host(url)),
        };
        let reference = self.reference();
        let repository = self.repository.to_owned();
        let code = header(&response, "x-error-code").filter(|_| is_same_origin(url, &self.hub));
        Err(Trouble::Final(match (status, code, file) {
            (408 | 429 | 500.., ..) => {
                return Err(Trouble::Passing { detail: said, wait: wanted_wait(&response) });
            }
            (_, Some("GatedRepo"), _) => {
                let page = format!("{}/{repository}", self.settings.endpoint);
                ModelError::HubGated { reference, page }
            }
            (_, Some("RevisionNotFound"), _) => {
                ModelError::HubNoRevision { repository, revision: self.revision.to_owned() }
            }
            (_, Some("EntryNotFound"), Some(file)) => {
                ModelError::HubNoFile { reference, file: file.to_owned() }
            }
            (_, Some("RepoNotFound"), _) => ModelError::HubNoRepository { repository },
            _ if !is_same_origin(url, &self.hub) => self.failed(said),
            // Without a token the hub does not say whether a private repository exists.
            (401, ..) if self.settings.token.is_none() => {
                ModelError::HubNoRepository { repository }
            }
            (401 | 403, ..) => ModelError::HubRefused { reference, detail: said },
            (404, _, None) => ModelError::HubNoRepository { repository },
            (404, _, Some(file)) => ModelError::HubNoFile { reference, file: file.to_owned() },
            _ => self.failed(said),
        }))
    }

    /// Tells apart what may pass, what means that there is no way to a host, and what will stay.
    pub(super) fn trouble(&self, url: &Uri, error: Error) -> Trouble {
        const CUT: [ErrorKind; 5] = [
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::BrokenPipe,
            ErrorKind::UnexpectedEof,
            ErrorKind::TimedOut,
        ];
        let proxy = self.settings.proxy.as_ref().filter(|proxy| !proxy.is_no_proxy(url));
        let host = match proxy {
            Some(proxy) => format!("{} by the proxy `{}`", host(url), proxy.host()),
            None => host(url),
        };
        let passing = |detail: String| Trouble::Passing { detail, wait: None };
        let untrusted = |error: &dyn std::fmt::Display| {
            let trusted = match &self.settings.certificates {
                Some((variable, _)) => format!("only the certificates of `{variable}` are trusted"),
                None => "where a proxy opens TLS, name the file of its certificates in \
                         `SSL_CERT_FILE`"
                    .to_owned(),
            };
            Trouble::Final(self.failed(format!("no TLS connection to {host}: {error}; {trusted}")))
        };
        match error {
            Error::HostNotFound => Trouble::Unreachable(format!("{host} is not known")),
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Trouble::Unreachable(format!("no connection to {host} in time"))
            }
            Error::Timeout(_) => passing(format!("{host} fell silent")),
            Error::ConnectProxyFailed(detail) => {
                Trouble::Unreachable(format!("no connection to {host}: {detail}"))
            }
            Error::Io(error) if CUT.contains(&error.kind()) => {
                passing(format!("the connection to {host} was cut"))
            }
            // What rustls says of a handshake comes through as invalid data.
            Error::Io(error) if error.kind() == ErrorKind::InvalidData => untrusted(&error),
            Error::Rustls(error) => untrusted(&error),
            Error::Io(error) => Trouble::Unreachable(format!("{host}: {error}")),
            Error::Protocol(error) => Trouble::Unreachable(format!("{host}: {error}")),
            error => Trouble::Final(self.failed(format!("{host}: {error}"))),
        }
    }
}

/// Writes a model of the hub as a pipeline file names it.
pub(super) fn reference(repository: &str, revision: &str) -> String {
    format!("hf:{repository}@{revision}")
}

/// Returns the certificates to trust: those that the user names, else the program's own list.
fn roots(settings: &Settings) -> Result<RootCerts, String> {
    let Some((variable, path)) = &settings.certificates else { return Ok(RootCerts::WebPki) };
    let text = fs_err::read(path).map_err(|error| format!("`{variable}`: {error}"))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("`{variable}` names `{}`, which has no certificate", path.display()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// Returns a header's value, where it is plain ASCII without control characters.
pub(super) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Returns how long a busy hub asks to be left alone: `Retry-After: 30`, or the `t` of
/// `RateLimit: "api";r=0;t=55`.
fn wanted_wait(response: &Response<Body>) -> Option<Duration> {
    let limit = || {
        let parts = header(response, "ratelimit").filter(|_| response.status() == 429)?.split(';');
        parts.filter_map(|part| part.trim().strip_prefix("t=")?.parse().ok()).next()
    };
    header(response, "retry-after")
        .and_then(|value| value.trim().parse().ok())
        .or_else(limit)
        .map(Duration::from_secs)
}
