//! `/live` and `/ready`, for service managers and load balancers.
//! They need no token, and tell nothing but their answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use annulus_core::State as MemberState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use super::problem::Problem;
use super::{Gateway, view};
use crate::gateway::disk;

/// The answer of `/ready` waits so long for the disk.
const DISK_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn live(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    gateway.read(|_| ()).await?;
    Ok(view::answer(&json!({ "live": true })))
}

pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    match gateway.read(|node| node.member(&node.id()).map(|member| member.state)).await {
        Err(_) => reasons.push("the supervisor's loop does not answer".into()),
        Ok(None) => reasons.push("starting: this member does not know itself yet".into()),
        Ok(Some(MemberState::Departed)) => reasons.push("this member has departed from the ring".into()),
        Ok(Some(_)) if gateway.history.leaving() => reasons.push("leaving the ring".into()),
        Ok(Some(_)) => {}
    }
    let room = gateway.config.room.clone();
    // A disk that does not even answer is no reason to keep the client waiting.
    let trouble = timeout(DISK_TIMEOUT, disk::read(move || room.trouble())).await;
    if let Some(reason) = trouble.ok().and_then(Result::ok).flatten() {
        reasons.push(format!("nothing can be stored: {reason}").into());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, view::answer(&json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}
