//! One file's way from the hub into the cache: once, whole, and as it was announced.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use ureq::ResponseExt;

use super::cache::Place;
use super::client::{Announced, Client, Trouble, header};
use crate::base::lock::locked;
use crate::base::report::{Progress, Report};
use crate::base::wheel::sha256_of;
use crate::model::error::ModelError;

/// A file that is wanted.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
    pub(super) announced: &'a Announced,
    pub(super) report: &'a dyn Report,
}

impl Download<'_> {
    /// Sees that the file's content is in the cache. Of several processes one fetches it, and the
    /// others wait.
    pub(super) fn complete(&self, place: &Place) -> Result<(), ModelError> {
        let etag = &self.announced.etag;
        let blob = place.blob(etag);
        let is_here = || {
            fs::metadata(&blob)
                .is_ok_and(|found| found.is_file() && found.len() == self.announced.size)
        };
        if is_here() {
            return Ok(());
        }
        locked(&place.lock(etag), || if is_here() { Ok(()) } else { self.fetch(&blob) })?
    }

    /// Fetches the content, goes on where an earlier try was cut, and gives it its name once it is
    /// what was announced.
    fn fetch(&self, blob: &Path) -> Result<(), ModelError> {
        let mut part = blob.as_os_str().to_owned();
        part.push(".incomplete");
        let part = PathBuf::from(part);
        fs::create_dir_all(blob.parent().unwrap_or(blob))?;
        // Only a digest tells whether an earlier part belongs to what follows it.
        let mut resumed = self.announced.sha256().is_some() && part.is_file();
        if !resumed {
            discard(&part)?;
        }
        loop {
            let received = self.client.patiently(self.name, || self.receive(&part));
            let error = match received.and_then(|()| self.check(&part)) {
                Ok(()) => break,
                Err(error) => error,
            };
            // What was cut is kept for the next time; what is wrong is not.
            if !matches!(error, ModelError::HubContent { .. }) {
                return Err(error);
            }
            discard(&part)?;
            if !resumed {
                return Err(error);
            }
            resumed = false;
        }
        fs::File::open(&part)?.sync_all()?;
        Ok(fs::rename(&part, blob)?)
    }

    /// Appends to the part what is missing, in one request.
    fn receive(&self, part: &Path) -> Result<(), Trouble> {
        let size = self.announced.size;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(part)?;
        let mut done = file.metadata()?.len();
        if done > size {
            file.set_len(0)?;
            done = 0;
        }
        if done == size {
            return Ok(());
        }
        let response = self.client.content(self.commit, self.name, done)?;
        let goes_on = header(&response, "content-range")
            .is_some_and(|range| range.starts_with(&format!("bytes {done}-")));
        if response.status() != 206 || !goes_on {
            file.set_len(0)?;
            done = 0;
        }
        if response.status() != 200 && !goes_on {
            let detail = format!("the answer is {}, not the content", response.status());
            return Err(Trouble::Passing { detail, wait: None });
        }
        let activity = format!("downloading {}", self.name);
        let url = response.get_uri().clone();
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.report.progress(&Progress {
                activity: &activity,
                done,
                total: Some(size),
                unit: "bytes",
                detail: "",
            });
            let count =
                body.read(&mut buffer).map_err(|error| self.client.trouble(&url, error.into()))?;
            if count == 0 {
                break;
            }
            done += count as u64;
            if done > size {
                let detail = format!("{size} bytes expected, more came");
                return Err(Trouble::Final(self.changed(detail)));
            }
            file.write_all(&buffer[..count])?;
        }
        if done < size {
            let detail = format!("the content ended after {done} of {size} bytes");
            return Err(Trouble::Passing { detail, wait: None });
        }
        Ok(())
    }

    /// Compares a whole file with the digest that was announced, where one was.
    fn check(&self, part: &Path) -> Result<(), ModelError> {
        let Some(expected) = self.announced.sha256() else { return Ok(()) };
        let found = sha256_of(part)?;
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(self.changed(format!("SHA-256 `{expected}` expected, `{found}` found")))
    }

    fn changed(&self, detail: String) -> ModelError {
        let file = self.name.to_owned();
        ModelError::HubContent { reference: self.client.reference(), file, detail }
    }
}

/// Removes a file that may be there.
fn discard(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
