//! Signed heads of channels, which can be waited for, and the lists that say which keys count.

use std::pin::pin;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::answer::Refusal;
use super::caller::{Asked, At, Caller};
use super::place;
use crate::depot::{Role, check_channel, check_target};
use crate::host::clock;

/// Longest wait for news.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What another process did to the tree is looked for so often.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

type Said = Result<Response, Refusal>;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct HeadOf {
    origin: String,
    channel: String,
    target: String,
}

/// The head of a channel; with `wait` and `number`, waits for one above that number.
pub(super) async fn get(service: At, Path(of): Path<HeadOf>, Query(asked): Query<Asked>) -> Said {
    let HeadOf { origin, channel, target } = of;
    check_channel(&channel)?;
    check_target(&target)?;
    let after = asked.number.unwrap_or_default();
    let wait = asked.wait.map(Duration::from_secs).map(|wait| wait.min(WAIT_MAX));
    let _place = wait.map(|_| place(&service.waiting)).transpose()?;
    let mut over = pin!(sleep(wait.unwrap_or_default()));
    let mut is_over = false;
    let mut changes = service.store.changes();
    loop {
        changes.borrow_and_update();
        let key = (origin.clone(), channel.clone(), target.clone());
        let head = service.work(move |store| store.head(&key.0, &key.1, &key.2)).await?;
        let is_news = head.as_ref().is_some_and(|(_, number)| *number > after);
        if let (Some((text, number)), true) = (&head, is_news || wait.is_none()) {
            return Ok(signed(text, *number));
        }
        if is_over {
            return match head {
                Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
                None => Err(Refusal::new(
                    StatusCode::NOT_FOUND,
                    format!("nothing was promoted to the channel {channel} of {origin} for {target} yet"),
                )),
            };
        }
        tokio::select! {
            () = &mut over => is_over = true,
            // What ends the wait is looked for above.
            _ = changes.changed() => {}
            () = sleep(LOOK_PERIOD) => {}
        }
    }
}

fn signed(text: &str, number: u64) -> Response {
    let mut response = text.to_owned().into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{number}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    origin: String,
    /// `current`, or `NUMBER.list`.
    file: String,
}

/// A list of keys, by the name of its file.
pub(super) async fn list(service: At, Path(which): Path<Listed>) -> Said {
    let Listed { origin, file } = which;
    if file == "current" {
        let newest = {
            let origin = origin.clone();
            service.work(move |store| store.list_of(&origin)).await?
        };
        return match newest {
            Some(list) => Ok(list.text().to_owned().into_response()),
            None => {
                Err(Refusal::new(StatusCode::NOT_FOUND, format!("{origin} has no list of keys here yet")))
            }
        };
    }
    let number = file.strip_suffix(".list").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "lists of keys are named current, 1.list, 2.list and so on")
    })?;
    let text = service.work(move |store| store.list_text(&origin, number)).await?;
    Ok(text.into_response())
}

pub(super) async fn post_list(service: At, caller: Caller, Path(origin): Path<String>, text: String) -> Said {
    let by = caller.may(&service, &origin, Role::Promote).await?;
    let (number, held_back) =
        service.work(move |store| store.put_list(&origin, &text, clock::wall(), &by)).await?;
    let body = Json(json!({ "number": number, "held_back": held_back }));
    Ok((StatusCode::CREATED, body).into_response())
}

pub(super) async fn channel_key(service: At, caller: Caller, Path(origin): Path<String>) -> Said {
    caller.may(&service, &origin, Role::Promote).await?;
    let key = service.work(move |store| store.channel_key(&origin, clock::wall())).await?;
    Ok(Json(key).into_response())
}
