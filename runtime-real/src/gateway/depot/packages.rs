//! Records, lists, search: what a depot has. Nothing is changed here but by `delete`.

use annulus_core::PackageIdent;
use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::caller::{Asked, At, Caller, Named};
use crate::depot::{Ident, Role, UNSTABLE};
use crate::host::clock;

/// Entries of one page of a list.
const PAGE: usize = 50;

type Said = Result<Response, Refusal>;

/// A page of a list: 206 where there is more, as Habitat's client expects.
fn page(found: Vec<Value>, range: Option<i64>) -> Response {
    let total = found.len();
    let all = range.is_some_and(|range| range < 0);
    let start =
        if all { 0 } else { usize::try_from(range.unwrap_or_default()).unwrap_or_default().min(total) };
    let end = if all { total } else { (start + PAGE).min(total) };
    let data: Vec<Value> = found.into_iter().skip(start).take(end - start).collect();
    let body = json!({
        "range_start": start,
        "range_end": end.saturating_sub(1),
        "total_count": total,
        "data": data,
    });
    let status = if end < total { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    (status, Json(body)).into_response()
}

fn ident(ident: &PackageIdent) -> Value {
    serde_json::to_value(Ident::from(ident)).unwrap_or_default()
}

/// Packages whose idents begin so; in a channel, where the path names one.
pub(super) async fn list(service: At, Path(named): Path<Named>, Query(asked): Query<Asked>) -> Said {
    let channel = named.channel.is_some().then(|| named.channel()).transpose()?;
    let parts = named.parts();
    let found = service
        .work(move |store| {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            store.list(channel.as_deref(), &parts)
        })
        .await?;
    let rows = found.iter().map(|(found, targets)| {
        let mut row = ident(found);
        if let Value::Object(row) = &mut row {
            row.insert("platforms".to_owned(), json!(targets));
        }
        row
    });
    Ok(page(rows.collect(), asked.range))
}

pub(super) async fn search(service: At, Path(term): Path<String>, Query(asked): Query<Asked>) -> Said {
    let distinct = asked.distinct.unwrap_or_default();
    let found = service.work(move |store| store.search(&term, distinct)).await?;
    Ok(page(found.iter().map(ident).collect(), asked.range))
}

pub(super) async fn versions(service: At, Path(named): Path<Named>) -> Said {
    let parts = named.parts();
    let found = service
        .work(move |store| store.list(None, &parts.iter().map(String::as_str).collect::<Vec<_>>()))
        .await?;
    let mut versions: Vec<(String, Vec<PackageIdent>, Vec<String>)> = Vec::new();
    for (found, targets) in found {
        let version = found.version().unwrap_or_default().to_owned();
        match versions.iter_mut().find(|(known, ..)| *known == version) {
            Some((_, releases, platforms)) => {
                releases.push(found);
                platforms.extend(targets);
            }
            None => versions.push((version, vec![found], targets)),
        }
    }
    let rows: Vec<Value> = versions
        .into_iter()
        .map(|(version, releases, mut platforms)| {
            platforms.sort_unstable();
            platforms.dedup();
            json!({
                "origin": named.origin,
                "name": named.name,
                "version": version,
                "release_count": releases.len().to_string(),
                "latest": releases.first().and_then(PackageIdent::release),
                "platforms": platforms,
            })
        })
        .collect();
    Ok(Json(rows).into_response())
}

/// The newest package that an ident names; in a channel, where the path names one.
pub(super) async fn newest(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    let target = caller.target(asked.target.as_ref())?;
    let wanted = named.ident()?;
    let channel = named.channel.is_some().then(|| named.channel()).transpose()?;
    let channel = channel.unwrap_or_else(|| UNSTABLE.to_owned());
    let (record, channels) = service
        .work(move |store| {
            let record = store.latest(&channel, &wanted, &target)?;
            let ident = record.ident().unwrap_or(wanted);
            let channels: Vec<String> =
                store.channels_of(&ident, &target)?.into_iter().map(|channel| channel.name).collect();
            Ok((record, channels))
        })
        .await?;
    let mut body = serde_json::to_value(&*record).unwrap_or_default();
    if let Value::Object(body) = &mut body {
        body.insert("channels".to_owned(), json!(channels));
    }
    Ok(Json(body).into_response())
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Recorded {
    origin: String,
    name: String,
    version: String,
    release: String,
    /// `TARGET.json`.
    file: String,
}

/// A record by the name of its file.
pub(super) async fn by_file(service: At, Path(of): Path<Recorded>) -> Said {
    let Recorded { origin, name, version, release, file } = of;
    let ident = format!("{origin}/{name}/{version}/{release}").parse::<PackageIdent>();
    let (Ok(ident), Some(target)) = (ident, file.strip_suffix(".json").map(str::to_owned)) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "records are named TARGET.json"));
    };
    let record = service.work(move |store| store.record(&ident, &target)).await?;
    Ok(Json(&*record).into_response())
}

/// The newest package of each name in a channel.
pub(super) async fn heads(service: At, Path(named): Path<Named>, Query(asked): Query<Asked>) -> Said {
    let Some(target) = asked.target.filter(|target| !target.is_empty()) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "name a platform: ?target=x86_64-linux"));
    };
    let (origin, channel) = (named.origin.clone(), named.channel()?);
    let found = {
        let (channel, target) = (channel.clone(), target.clone());
        service.work(move |store| store.heads(&origin, &channel, &target)).await?
    };
    let data: Vec<Value> = found.iter().map(ident).collect();
    Ok(Json(json!({ "channel": channel, "target": target, "data": data })).into_response())
}

pub(super) async fn channels(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    let (wanted, target) = (named.ident()?, caller.target(asked.target.as_ref())?);
    let found = service.work(move |store| store.channels_of(&wanted, &target)).await?;
    let rows: Vec<Value> = found
        .into_iter()
        .map(|channel| {
            json!({ "name": channel.name, "created_at": channel.promoted_at, "promoted_at": channel.promoted_at })
        })
        .collect();
    Ok(Json(rows).into_response())
}

pub(super) async fn delete(
    service: At,
    caller: Caller,
    Path(named): Path<Named>,
    Query(asked): Query<Asked>,
) -> Said {
    let (wanted, target) = (named.ident()?, caller.target(asked.target.as_ref())?);
    let by = caller.may(&service, &named.origin, Role::Promote).await?;
    service.work(move |store| store.delete(&wanted, &target, clock::wall(), &by)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
