//! Errors as this API has them: `{code, msg}`, which Habitat's client shows.

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::depot::Error;
use crate::host::disk;
use crate::keys::KeyError;

/// So long should a client wait where there is too much to do, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Longest text of the framework's own refusals, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    msg: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, msg: impl Into<String>) -> Self {
        Self { status, msg: msg.into() }
    }

    /// Too much to do, or something that passes.
    pub(super) fn busy(msg: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, msg)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Error::Channel { .. } | Error::Origin { .. } | Error::Target { .. } | Error::BadRequest(_) => {
                StatusCode::BAD_REQUEST
            }
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Circular(_) => StatusCode::FAILED_DEPENDENCY,
            Error::Io { source, .. } if disk::is_full(source) => StatusCode::INSUFFICIENT_STORAGE,
            Error::Io { .. } | Error::Key(KeyError::Io { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Package(error) if error.is_of_files() => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        if status.is_server_error() {
            tracing::warn!(%error, "the depot cannot do what was asked");
        }
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.status.as_u16(), "msg": self.msg });
        let mut response = (self.status, Json(body)).into_response();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response
    }
}

pub(super) async fn unknown_route(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("this depot has no route {}", uri.path()))
}

pub(super) async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> Refusal {
    let said = format!("{method} is not what {} is for", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, said)
}

/// Gives refusals of the framework, which are plain text, the form that those of this API have.
pub(super) async fn same_form(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let status = response.status();
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), TEXT_BYTES_MAX).await.unwrap_or_default();
    Refusal::new(status, String::from_utf8_lossy(&text).trim()).into_response()
}
