//! Brings a file: into a part beside its place, which the next try goes on with. What has come is believed by its hash alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::PackageIdent;
use http_body_util::BodyExt as _;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Client;
use super::transport::{self, ANSWER_TIMEOUT, Answer, Ask, STALL_MAX};
use crate::depot::Error;
use crate::keys::crypto::Hash;

/// Largest package that is brought, in bytes, where its size is not known before.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// A file must come with so many bytes in a second over all, so that a trickle ends.
const RATE_MIN: u64 = 4 * 1024;

/// What is brought.
#[derive(Clone, Debug)]
pub(crate) enum What<'a> {
    /// A package by its name.
    Package(&'a PackageIdent, &'a str),
    /// Content by its hash, of whichever package.
    Blob(Hash),
}

impl What<'_> {
    fn path(&self) -> String {
        match self {
            Self::Package(ident, target) => format!("depot/pkgs/{ident}/download?target={target}"),
            Self::Blob(hash) => format!("blobs/{hash}"),
        }
    }
}

impl Client {
    /// Brings a file to `part`, and goes on where an earlier try has stopped. `come` hears how many bytes are there, and of how
    /// many where that is known. Returns how large it is.
    ///
    /// # Errors
    /// The depot cannot be asked, refuses, or gives more than it may; the disk refuses.
    pub(crate) async fn download(
        &self,
        what: &What<'_>,
        size: Option<u64>,
        part: &Path,
        come: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, Error> {
        let mut options = tokio::fs::OpenOptions::new();
        let mut file =
            options.create(true).append(false).write(true).open(part).await.map_err(Error::io(part))?;
        let mut have = file.metadata().await.map_err(Error::io(part))?.len();
        if size.is_some_and(|size| have > size) {
            file.set_len(0).await.map_err(Error::io(part))?;
            have = 0;
        }
        if size.is_some() && Some(have) == size {
            return Ok(have);
        }
        let answer = self.ask_for(what, have).await?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // What is here is no beginning of what is there.
            file.set_len(0).await.map_err(Error::io(part))?;
            return Err(self.broken("it has less than was here already; the next try begins anew"));
        }
        let answer = answer.good().await?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            file.set_len(0).await.map_err(Error::io(part))?;
            have = 0;
        }
        if answer.status() == StatusCode::PARTIAL_CONTENT && begins_at(&answer) != Some(have) {
            file.set_len(0).await.map_err(Error::io(part))?;
            return Err(self.broken("it gives another part than it was asked for; the next try begins anew"));
        }
        file.seek(std::io::SeekFrom::Start(have)).await.map_err(Error::io(part))?;
        let total = size.or_else(|| Some(have + answer.header("content-length")?.parse::<u64>().ok()?));
        let done = self.receive(answer, (&mut file, part), (have, total), come).await;
        // What has come is of use to the next try, also where the rest did not.
        file.flush().await.map_err(Error::io(part))?;
        let done = done?;
        if total.is_some_and(|total| done < total) {
            return Err(self.broken("it ended before all had come; the next try goes on there"));
        }
        file.sync_all().await.map_err(Error::io(part))?;
        Ok(done)
    }

    async fn ask_for(&self, what: &What<'_>, have: u64) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        if have > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={have}-"))
        {
            headers.insert(header::RANGE, range);
        }
        let ask = Ask {
            method: Method::GET,
            path: what.path(),
            headers,
            token: self.token.as_deref(),
            is_direct: self.is_direct,
            within: ANSWER_TIMEOUT,
        };
        self.ask(&ask, transport::empty).await
    }

    async fn receive(
        &self,
        mut answer: Answer,
        (file, path): (&mut tokio::fs::File, &Path),
        (mut have, total): (u64, Option<u64>),
        come: &mut (dyn FnMut(u64, Option<u64>) + Send),
    ) -> Result<u64, Error> {
        let limit = total.unwrap_or(FILE_BYTES_MAX);
        let receiving = async {
            come(have, total);
            loop {
                let piece = timeout(STALL_MAX, answer.response.body_mut().frame()).await;
                let piece =
                    piece.map_err(|_| self.broken(&format!("nothing came for {} s", STALL_MAX.as_secs())))?;
                let Some(piece) = piece else { return Ok(have) };
                let piece = piece.map_err(|e| self.broken(&e.to_string()))?;
                let Ok(bytes) = piece.into_data() else { continue };
                have += bytes.len() as u64;
                if have > limit {
                    return Err(Error::TooLarge { what: format!("what {} gives", self.url), limit });
                }
                file.write_all(&bytes).await.map_err(Error::io(path))?;
                come(have, total);
            }
        };
        let within = Duration::from_secs(60 + limit / RATE_MIN);
        timeout(within, receiving).await.unwrap_or_else(|_| Err(self.broken("it comes too slowly")))
    }

    fn broken(&self, reason: &str) -> Error {
        Error::Unreachable { url: self.url.to_string(), reason: reason.to_owned() }
    }
}

/// Where the part begins that an answer holds.
fn begins_at(answer: &Answer) -> Option<u64> {
    let range = answer.header("content-range")?.trim().strip_prefix("bytes")?;
    range.trim().split_once('-')?.0.trim().parse().ok()
}

/// Where a file is while it comes.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("package");
    path.with_file_name(format!(".{name}.part"))
}
