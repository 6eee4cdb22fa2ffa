//! Files, whole or in part. A file is read in pieces, so that what many clients take at one time is flat in memory.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use annulus_core::PackageIdent;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, AsyncSeekExt as _, ReadBuf};

use super::answer::Refusal;
use super::caller::{Asked, At, Caller, Named};
use super::downloads::{Downloads, Place};
use super::keys::X_FILENAME;
use crate::gateway::http::KeepsPlace;
use crate::keys::crypto::Hash;

/// Pieces in which a file is read, in bytes.
const PIECE_BYTES: usize = 32 * 1024;

type Said = Result<Response, Refusal>;

/// The file of a package.
pub(super) async fn package(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Said {
    let (ident, target) = (named.ident()?, caller.target(asked.target.as_ref())?);
    let (path, hash) = {
        let (ident, target) = (ident.clone(), target.clone());
        service
            .work(move |store| {
                let record = store.record(&ident, &target)?;
                let hash = record.hash().ok_or_else(|| {
                    crate::depot::Error::Refused(format!(
                        "the record of {ident} is damaged; `annulus depot reindex` mends it"
                    ))
                })?;
                Ok((store.tree().blob(&hash), hash))
            })
            .await?
    };
    send((&service.downloads, &caller), path, hash, Some(name(&ident, &target)), &headers).await
}

fn name(ident: &PackageIdent, target: &str) -> String {
    format!("{}-{target}.hart", ident.to_string().replace('/', "-"))
}

/// Content by its hash.
pub(super) async fn blob(service: At, caller: Caller, Path(hash): Path<String>, headers: HeaderMap) -> Said {
    let hash = hash_of(&hash)?;
    let path = service.store.tree().blob(&hash);
    send((&service.downloads, &caller), path, hash, None, &headers).await
}

/// The hash in a path.
pub(super) fn hash_of(text: &str) -> Result<Hash, Refusal> {
    text.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "content is named by its BLAKE2b hash, 64 hex digits in small letters",
        )
    })
}

/// Answers with a file.
pub(super) async fn send(
    (downloads, caller): (&Arc<Downloads>, &Caller),
    path: PathBuf,
    hash: Hash,
    name: Option<String>,
    headers: &HeaderMap,
) -> Said {
    let place = downloads.place(caller.host())?;
    let missing = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Refusal::new(StatusCode::NOT_FOUND, "this depot does not have that content")
        }
        _ => Refusal::busy(&format!("the file cannot be read: {e}")),
    };
    let mut file = File::open(&path).await.map_err(missing)?;
    let size = file.metadata().await.map_err(missing)?.len();
    let (status, start, end) = match range(headers, size) {
        Range::Whole => (StatusCode::OK, 0, size),
        Range::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Range::Beyond => {
            let mut response =
                Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("the file has {size} bytes"))
                    .into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
    };
    file.seek(SeekFrom::Start(start)).await.map_err(missing)?;
    let body = Pieces { file, left: end - start, _place: place };
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.extensions_mut().insert(KeepsPlace);
    set(&mut response, header::CONTENT_LENGTH, &(end - start).to_string());
    set(&mut response, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &format!("\"{hash}\""));
    set(&mut response, header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    set(&mut response, header::CONNECTION, "close");
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
    }
    if let Some(name) = name {
        set(&mut response, X_FILENAME, &name);
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Which bytes of a file are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// From the first up to the second, without that.
    Part(u64, u64),
    Beyond,
}

/// One range is heeded; what cannot be read, and more than one, means the whole file (RFC 9110, 14.2).
fn range(headers: &HeaderMap, size: u64) -> Range {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")?.split_once('-')) else {
        return Range::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Range::Beyond,
        (Some(first), None) if last.trim().is_empty() => Range::Part(first, size),
        (Some(first), Some(last)) if last >= first => Range::Part(first, size.min(last.saturating_add(1))),
        (None, Some(last)) if first.trim().is_empty() && last > 0 && size > 0 => {
            Range::Part(size.saturating_sub(last), size)
        }
        _ => Range::Whole,
    }
}

/// A file on its way, and its place among the downloads.
struct Pieces {
    file: File,
    left: u64,
    _place: Place,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = vec![0; most];
        let mut room = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut room))?;
        let bytes = room.filled().len();
        if bytes == 0 {
            // The connection breaks, so that the client does not take a part for the whole.
            return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
        }
        self.left -= bytes as u64;
        piece.truncate(bytes);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_heeded() {
        for (text, found) in [
            ("bytes=0-", Range::Part(0, 100)),
            ("bytes=10-", Range::Part(10, 100)),
            ("bytes=10-19", Range::Part(10, 20)),
            ("bytes=10-1000", Range::Part(10, 100)),
            ("bytes=-5", Range::Part(95, 100)),
            ("bytes=-500", Range::Part(0, 100)),
            ("bytes=100-", Range::Beyond),
            ("bytes=20-10", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=0-1,4-5", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes=-0", Range::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().expect("a header"));
            assert_eq!(range(&headers, 100), found, "{text}");
        }
        assert_eq!(range(&HeaderMap::new(), 100), Range::Whole);
    }
}
