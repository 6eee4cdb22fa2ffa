//! New packages. What comes is written to a file of its own as it comes, so that its size means nothing to the memory.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::answer::Refusal;
use super::caller::{Asked, At, Caller, Named};
use super::place;
use crate::depot::{Error, Role};
use crate::host::clock;
use crate::keys::crypto::Hash;

/// The next piece must have come within this.
const STALL_MAX: Duration = Duration::from_secs(30);

pub(super) async fn post(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (ident, target) = (named.ident()?, caller.target(asked.target.as_ref())?);
    let by = caller.may(&service, &named.origin, Role::Upload).await?;
    let checksum = asked.checksum.as_deref().unwrap_or_default();
    let checksum: Hash = checksum.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "name the hash of the file: ?checksum=BLAKE2B, 64 hex digits in small letters (`annulus pkg hash`)",
        )
    })?;
    let _place = place(&service.uploads)?;
    let limit = service.rules.package_bytes_max;
    let too_large = || Refusal::from(Error::TooLarge { what: ident.to_string(), limit });
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let (upload, file) = {
        let (ident, target) = (ident.clone(), target.clone());
        service.work(move |store| store.begin_upload(&ident, &target, checksum)).await?
    };
    let mut file = tokio::fs::File::from_std(file);
    let path = upload.path().to_owned();
    let (mut body, mut have) = (body, 0_u64);
    let cut = |why: &str| Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("{ident}: {why}; send it again"));
    loop {
        let piece = timeout(STALL_MAX, body.frame()).await;
        let piece = piece.map_err(|_| cut("nothing came for 30 s"))?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|e| cut(&format!("it broke off: {e}")))?;
        let Ok(bytes) = piece.into_data() else { continue };
        have += bytes.len() as u64;
        if have > limit {
            return Err(too_large());
        }
        file.write_all(&bytes).await.map_err(Error::io(&path))?;
    }
    file.flush().await.map_err(Error::io(&path))?;
    drop(file);
    service.work(move |store| store.finish_upload(upload, clock::wall(), &by).map(drop)).await?;
    Ok((StatusCode::CREATED, format!("/pkgs/{ident}/download\n")).into_response())
}
