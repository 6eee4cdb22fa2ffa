//! Keys of origins. Public ones are for all; secret ones for those who may promote.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::answer::Refusal;
use super::caller::{At, Caller};
use crate::depot::Role;
use crate::host::clock;
use crate::keys::{KeyId, KeyKind};

type Said = Result<Response, Refusal>;

/// Habitat's client takes the name of a file from here alone.
pub(super) const X_FILENAME: HeaderName = HeaderName::from_static("x-filename");

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Which {
    origin: String,
    revision: String,
}

fn file(id: &KeyId, kind: KeyKind, text: String) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = HeaderValue::from_str(&id.file_name(kind)) {
        headers.insert(X_FILENAME, name);
    }
    response
}

pub(super) async fn list(service: At, Path(origin): Path<String>) -> Said {
    let ids = service.work(move |store| store.keys_of(&origin)).await?;
    let rows: Vec<_> = ids
        .iter()
        .rev()
        .map(|id| {
            let location = format!("/origins/{}/keys/{}", id.name(), id.revision());
            json!({ "origin": id.name(), "revision": id.revision(), "location": location })
        })
        .collect();
    Ok(Json(rows).into_response())
}

pub(super) async fn latest(service: At, Path(origin): Path<String>) -> Said {
    let (id, text) = service.work(move |store| store.key(&origin, None)).await?;
    Ok(file(&id, KeyKind::SigPublic, text))
}

pub(super) async fn one(service: At, Path(which): Path<Which>) -> Said {
    let (id, text) = service.work(move |store| store.key(&which.origin, Some(&which.revision))).await?;
    Ok(file(&id, KeyKind::SigPublic, text))
}

/// A public key by the name of its file.
pub(super) async fn by_file(service: At, Path(name): Path<String>) -> Said {
    let id = name.strip_suffix(".pub").and_then(|id| id.parse::<KeyId>().ok());
    let id = id.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "keys are named ORIGIN-REVISION.pub"))?;
    let (id, text) = service.work(move |store| store.key(id.name(), Some(id.revision()))).await?;
    Ok(file(&id, KeyKind::SigPublic, text))
}

pub(super) async fn post(service: At, caller: Caller, Path(which): Path<Which>, text: String) -> Said {
    let by = caller.may(&service, &which.origin, Role::Upload).await?;
    service
        .work(move |store| store.put_key(&which.origin, &which.revision, &text, clock::wall(), &by))
        .await?;
    Ok(StatusCode::CREATED.into_response())
}

pub(super) async fn secret(service: At, caller: Caller, Path(origin): Path<String>) -> Said {
    caller.may(&service, &origin, Role::Promote).await?;
    let (id, text) = service.work(move |store| store.secret_key(&origin)).await?;
    Ok(file(&id, KeyKind::SigSecret, text))
}

pub(super) async fn post_secret(service: At, caller: Caller, Path(which): Path<Which>, text: String) -> Said {
    let by = caller.may(&service, &which.origin, Role::Promote).await?;
    service
        .work(move |store| store.put_secret(&which.origin, &which.revision, &text, clock::wall(), &by))
        .await?;
    // Habitat's client takes nothing but 200 here.
    Ok(StatusCode::OK.into_response())
}
