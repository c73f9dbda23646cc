//! What the client makes of servers that refuse, are busy, are away, or lie.

use fs_err as fs;

use super::fixture::{COMMIT, Hub, TOKEN, Told, assert_failed, names};
use super::server::Reply;
use crate::base::report::Silent;
use crate::model::error::ModelError;
use crate::model::source::hub::settings::Settings;

#[test]
fn each_refusal_is_told_apart() -> Result<(), ModelError> {
    let refused = |status: u16, code: &'static str, path: &'static str, token: bool| {
        let hub = Hub::with(
            move |request, _| {
                request.path.contains(path).then(|| {
                    let reply = Reply::new(status, "").with("X-Error-Message", "No, sorry.");
                    if code.is_empty() { reply } else { reply.with("X-Error-Code", code) }
                })
            },
            |_, _| None,
        )?;
        let token = token.then(|| TOKEN.to_owned());
        let settings = Settings { token, ..hub.settings() };
        match settings.resolve("org/name", "v2", &Silent) {
            Ok(_) => Ok("fetched".to_owned()),
            Err(ModelError::Io(error)) => Err(ModelError::Io(error)),
            Err(error) => {
                let name = format!("{error:?}");
                Ok(name.split([' ', '{']).next().unwrap_or_default().to_owned())
            }
        }
    };
    let list = "/api/models/";
    let file = "/resolve/";
    for (status, code, path, token, expected) in [
        (401, "", list, false, "HubNoRepository"),
        (401, "", list, true, "HubRefused"),
        (403, "", list, true, "HubRefused"),
        (404, "", list, true, "HubNoRepository"),
        (404, "RepoNotFound", list, true, "HubNoRepository"),
        (401, "RepoNotFound", file, false, "HubNoRepository"),
        (404, "RevisionNotFound", list, true, "HubNoRevision"),
        (401, "GatedRepo", file, false, "HubGated"),
        (403, "GatedRepo", file, true, "HubGated"),
        (404, "EntryNotFound", file, true, "HubNoFile"),
        (404, "", file, true, "HubNoFile"),
        (400, "", file, true, "Hub"),
        (500, "", list, true, "Hub"),
        (429, "", file, true, "Hub"),
    ] {
        let found = refused(status, code, path, token)?;
        assert_eq!(found, expected, "{status} {code} {path} {token}");
    }
    Ok(())
}

#[test]
fn a_busy_hub_is_asked_again_for_a_while() -> Result<(), ModelError> {
    // Twice busy, then well; the seconds that it names are kept to.
    let hub = Hub::with(
        |request, before| match (request.method.as_str(), before) {
            ("GET", 0) => Some(Reply::new(503, "")),
            ("GET", 1) => Some(Reply::new(429, "").with("RateLimit", "\"api\";r=0;t=0")),
            ("HEAD", 0) if request.path.ends_with(".safetensors") => {
                Some(Reply::new(429, "").with("Retry-After", "1"))
            }
            _ => None,
        },
        |_, before| (before == 0).then(|| Reply::new(500, "")),
    )?;
    let told = Told::default();
    hub.settings().resolve("org/name", "main", &told)?;
    let lines = told.lines();
    assert!(
        lines.iter().any(|line| line.contains("answered 429; trying again in 0 s")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("answered 429; trying again in 1 s")),
        "{lines:?}"
    );

    // Never well: the tries are counted.
    let hub = Hub::with(|_, _| Some(Reply::new(500, "")), |_, _| None)?;
    assert_failed(&hub.resolve("main"), "answered 500, 6 times");
    assert_eq!(hub.hub.seen().len(), 6);

    // Not for an hour.
    let hub = Hub::with(|_, _| Some(Reply::new(429, "").with("Retry-After", "3600")), |_, _| None)?;
    assert_failed(&hub.resolve("main"), "asks to wait 3600 s");
    assert_eq!(hub.hub.seen().len(), 1);
    Ok(())
}

#[test]
fn a_hub_that_does_not_answer_is_named() -> std::io::Result<()> {
    let hub = Hub::start()?;
    // The discard port, on which nothing listens.
    for (endpoint, says) in [
        ("http://127.0.0.1:9", "127.0.0.1"),
        ("huggingface.co", "`HF_ENDPOINT` is `huggingface.co`"),
        ("ftp://huggingface.co", "`HF_ENDPOINT`"),
    ] {
        let settings = Settings { endpoint: endpoint.to_owned(), ..hub.settings() };
        let failed = settings.resolve("org/name", "main", &Silent);
        assert!(
            matches!(&failed, Err(ModelError::Hub { reference, detail })
                if reference == "hf:org/name@main" && detail.contains(says)),
            "{failed:?}"
        );
    }
    let bundle = hub.root.path().join("empty.pem");
    fs::write(&bundle, "no certificate")?;
    for path in [bundle, hub.root.path().join("missing.pem")] {
        let certificates = Some(("SSL_CERT_FILE", path));
        let settings = Settings { certificates, ..hub.settings() };
        assert_failed(&settings.resolve("org/name", "main", &Silent), "SSL_CERT_FILE");
    }
    Ok(())
}

#[test]
fn redirects_end() -> Result<(), ModelError> {
    let hub = Hub::with(
        |request, _| Some(Reply::new(307, "").with("Location", request.path.clone())),
        |_, _| None,
    )?;
    assert_failed(&hub.resolve("main"), "more than 10");
    assert_eq!(hub.hub.seen().len(), 11);
    Ok(())
}

#[test]
fn what_a_server_says_is_no_path() -> Result<(), ModelError> {
    let list = |sha: &str, names: &str| {
        Reply::new(200, format!("{{\"sha\": \"{sha}\", \"siblings\": [{names}]}}"))
    };
    let plain = "{\"rfilename\": \"config.json\"}, {\"rfilename\": \"model.safetensors\"}";
    let announced = |commit: &str, etag: &str| {
        Reply::new(200, "{}").with("X-Repo-Commit", commit).with("ETag", etag)
    };
    let ways: Vec<(&str, &str, Reply)> = vec![
        ("GET", "/api/", list("../../../../evil", plain)),
        ("GET", "/api/", list("main", plain)),
        ("GET", "/api/", Reply::new(200, "<html>")),
        ("GET", "/api/", list(COMMIT, "{\"rfilename\": \"../evil.safetensors\"}")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"../../../evil\"")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"abc.incomplete\"")),
        ("HEAD", "/resolve/", announced(COMMIT, "\"abc\"")),
        ("HEAD", "/resolve/", announced(COMMIT, &"f".repeat(41))),
        ("HEAD", "/resolve/", announced(COMMIT, &"g".repeat(64))),
        ("HEAD", "/resolve/", announced(COMMIT, "\"\"")),
        ("HEAD", "/resolve/", announced("../evil", &"f".repeat(40))),
        ("HEAD", "/resolve/", announced(&"f".repeat(40), &"f".repeat(40))),
        ("HEAD", "/resolve/", Reply::new(200, "{}")),
        ("HEAD", "/resolve/", Reply::new(302, "").with("Location", "https://storage/evil")),
        ("HEAD", "/resolve/", Reply::new(302, "").with("Location", "file:///etc/passwd")),
        ("HEAD", "/resolve/", Reply::new(302, "")),
    ];
    for (method, path, reply) in ways {
        let said = reply.clone();
        let hub = Hub::with(
            move |request, _| {
                (request.method == method && request.path.contains(path)).then(|| reply.clone())
            },
            |_, _| None,
        )?;
        let failed = hub.resolve("main");
        assert!(
            matches!(failed, Err(ModelError::Hub { .. } | ModelError::HubNoFile { .. })),
            "{said:?}: {failed:?}"
        );
        assert!(names(hub.root.path()).is_empty(), "{said:?}");
    }
    // A file to be read into memory says how large it is before it is fetched.
    let hub = Hub::with(
        |request, _| {
            let large = Reply::new(200, "").with("X-Repo-Commit", COMMIT);
            let large =
                large.with("ETag", "f".repeat(40)).with("X-Linked-Size", (1_u64 << 40).to_string());
            let is_asked = request.method == "HEAD" && request.path.contains("tokenizer.json");
            is_asked.then_some(large)
        },
        |_, _| None,
    )?;
    let failed = hub.resolve("main");
    assert!(matches!(failed, Err(ModelError::Limit(_))), "{failed:?}");
    assert_eq!(hub.hub.count("GET", "tokenizer.json"), 0);

    // Names that are no plain names are left alone, whatever else the list has.
    let evil = r#"{"rfilename": "..\\evil.safetensors"}, {"rfilename": ".evil.safetensors"}"#;
    let reply = list(COMMIT, &format!("{plain}, {evil}"));
    let hub = Hub::with(
        move |request, _| request.path.starts_with("/api/models").then(|| reply.clone()),
        |_, _| None,
    )?;
    let folder = hub.resolve("main")?;
    assert_eq!(names(&folder), ["config.json", "model.safetensors"]);
    Ok(())
}
