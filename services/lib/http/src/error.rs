//! The one error that clients see: `{"errcode": …, "error": …}` with a status.

mod grpc;
mod ruma_errors;
#[cfg(test)]
mod tests;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

pub(crate) use self::ruma_errors::{from_http_request_error, from_json_error};

/// An error of the Matrix API. Services map their own error enums to it in one exhaustive match.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{status} {errcode}: {message}")]
pub struct MatrixError {
    pub status: StatusCode,
    /// Empty for the 401 of user-interactive authentication before its first failure.
    pub errcode: String,
    pub message: String,
    pub retry_after_ms: Option<u64>,
    /// More members of the JSON body (`soft_logout`, `flows`, …).
    pub extra: Map<String, Value>,
}

impl MatrixError {
    pub fn new(status: StatusCode, errcode: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, errcode: errcode.into(), message: message.into(), retry_after_ms: None, extra: Map::new() }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", message)
    }

    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", message)
    }

    pub fn not_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", message)
    }

    pub fn invalid_param(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", message)
    }

    pub fn missing_param(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", message)
    }

    pub fn bad_state(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_STATE", message)
    }

    pub fn missing_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN", "this request needs an access token")
    }

    /// `soft`: the session still exists, the client may refresh its token.
    pub fn unknown_token(soft: bool) -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", "the access token is unknown or has ended");
        if soft { error.with("soft_logout", true) } else { error }
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", message)
    }

    /// The 401 of user-interactive authentication: `flows`, `params`, `session`, `completed`.
    pub fn uia(challenge: Map<String, Value>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            errcode: String::new(),
            message: String::new(),
            retry_after_ms: None,
            extra: challenge,
        }
    }

    pub fn user_in_use() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_USER_IN_USE", "this user id is taken")
    }

    pub fn invalid_username(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_USERNAME", message)
    }

    pub fn user_deactivated() -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_USER_DEACTIVATED", "this account has been deactivated")
    }

    pub fn weak_password(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_WEAK_PASSWORD", message)
    }

    pub fn room_in_use(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_ROOM_IN_USE", message)
    }

    pub fn invalid_room_state(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_ROOM_STATE", message)
    }

    pub fn unsupported_room_version(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION", message)
    }

    pub fn exclusive(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_EXCLUSIVE", message)
    }

    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "too many requests, try again later")
            .with_retry_after_ms(retry_after_ms)
    }

    /// A part of the server (the database, a peer) is away for the moment.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", "the server is not able to answer right now, try again")
            .with_retry_after_ms(1_000)
    }

    /// Our fault. What happened belongs into the log, not into the answer.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "internal server error")
    }

    /// 404 (unknown path) or 405 (known path, other method).
    pub fn unrecognized(status: StatusCode) -> Self {
        let message = if status == StatusCode::METHOD_NOT_ALLOWED {
            "this path does not know this method"
        } else {
            "this server does not know this path"
        };
        Self::new(status, "M_UNRECOGNIZED", message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
    }

    pub fn unknown(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "M_UNKNOWN", message)
    }

    /// The JSON body.
    pub fn body(&self) -> Bytes {
        let mut body = self.extra.clone();
        if !self.errcode.is_empty() {
            body.insert("errcode".to_owned(), self.errcode.as_str().into());
            body.insert("error".to_owned(), self.message.as_str().into());
        }
        if let Some(retry_after_ms) = self.retry_after_ms {
            body.insert("retry_after_ms".to_owned(), retry_after_ms.into());
        }
        Bytes::from(Value::Object(body).to_string())
    }
}

impl IntoResponse for MatrixError {
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(retry_after_ms) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)));
        }
        response
    }
}
