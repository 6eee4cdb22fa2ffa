//! Channels: made, removed, and what is in them changed.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answer::Refusal;
use super::caller::{Asked, At, Caller, Named};
use crate::depot::Role;
use crate::host::clock;

type Said = Result<Response, Refusal>;

pub(super) async fn list(service: At, Path(origin): Path<String>) -> Said {
    let channels = service.work(move |store| store.channels(&origin)).await?;
    let rows: Vec<_> = channels.into_iter().map(|name| json!({ "name": name })).collect();
    Ok(Json(rows).into_response())
}

pub(super) async fn make(service: At, caller: Caller, Path(named): Path<Named>) -> Said {
    let (origin, channel) = (named.origin.clone(), named.channel()?);
    let by = caller.may(&service, &origin, Role::Promote).await?;
    service.work(move |store| store.make_channel(&origin, &channel, clock::wall(), &by)).await?;
    Ok(StatusCode::CREATED.into_response())
}

pub(super) async fn remove(service: At, caller: Caller, Path(named): Path<Named>) -> Said {
    let (origin, channel) = (named.origin.clone(), named.channel()?);
    let by = caller.may(&service, &origin, Role::Promote).await?;
    service.work(move |store| store.remove_channel(&origin, &channel, clock::wall(), &by)).await?;
    Ok(StatusCode::OK.into_response())
}

async fn set(service: At, caller: Caller, named: Named, asked: Asked, is_in: bool) -> Said {
    let (ident, channel) = (named.ident()?, named.channel()?);
    let target = caller.target(asked.target.as_ref())?;
    let by = caller.may(&service, &named.origin, Role::Promote).await?;
    service
        .work(move |store| {
            let now = clock::wall();
            if is_in {
                store.promote(&ident, &target, &channel, now, &by)
            } else {
                store.demote(&ident, &target, &channel, now, &by)
            }
        })
        .await?;
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn promote(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    set(service, caller, named, asked, true).await
}

pub(super) async fn demote(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    set(service, caller, named, asked, false).await
}

async fn set_all(service: At, caller: Caller, named: Named, asked: Asked, is_in: bool) -> Said {
    let (origin, from) = (named.origin.clone(), named.channel()?);
    let Some(to) = asked.channel.filter(|to| !to.is_empty()) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "name the other channel: ?channel=NAME"));
    };
    let by = caller.may(&service, &origin, Role::Promote).await?;
    let (moved, held_back) =
        service.work(move |store| store.move_all(&origin, (&from, &to), is_in, clock::wall(), &by)).await?;
    Ok(Json(json!({ "packages": moved, "held_back": held_back })).into_response())
}

pub(super) async fn promote_all(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    set_all(service, caller, named, asked, true).await
}

pub(super) async fn demote_all(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    set_all(service, caller, named, asked, false).await
}
