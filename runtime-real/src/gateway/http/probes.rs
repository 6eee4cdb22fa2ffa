//! `/live` and `/ready`, for service managers and load balancers.
//! They need no token, and tell nothing but their answer.

use std::borrow::Cow;
use std::sync::Arc;

use annulus_core::State as MemberState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::problem::Problem;
use super::{Gateway, view};
use crate::gateway::disk;

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
        Ok(Some(_)) if !gateway.config.announced.is_said() => {
            reasons.push("starting: what this member is has yet to reach its disk".into());
        }
        Ok(Some(_)) => {}
    }
    if let Some(reason) = disk::trouble(&gateway.config.room).await {
        reasons.push(format!("nothing can be stored: {reason}").into());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, view::answer(&json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}
