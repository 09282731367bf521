//! Request bodies are read whole, within a limit and a time: so a service never waits for a client, and a request can be
//! sent again to another replica.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use matrixon_http::MatrixError;
use tokio::time::timeout;

/// A client that is still writing when the connection closes never reads the answer, so a body that nobody wants is read
/// and thrown away first; within this time, so that nobody holds a connection with it.
const DISCARD_BYTES: u64 = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads past the body of a request that was answered without it. False: there is more, and the connection cannot go on.
pub(super) async fn skip(mut body: Body, expects_continue: bool) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if expects_continue {
        // the client sends it only when asked to
        return false;
    }
    let mut left = DISCARD_BYTES;
    let all = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    timeout(DISCARD_TIME, all).await.unwrap_or(false)
}

/// `M_TOO_LARGE` ← longer than `limit` · 408 `M_UNKNOWN` ← not there in time · 400 `M_UNKNOWN` ← broken off
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    limit: usize,
    timeout_seconds: u64,
) -> Result<Bytes, MatrixError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || MatrixError::too_large(format!("the request's body may have {limit} bytes here"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = announced.filter(|length| *length > limit as u64) {
        if length <= DISCARD_BYTES {
            // too slow: then the connection closes in the middle
            let _ended = skip(body, false).await;
        }
        return Err(too_large());
    }
    match timeout(Duration::from_secs(timeout_seconds), Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            Err(MatrixError::unknown(StatusCode::BAD_REQUEST, "the request's body ended early or is malformed"))
        }
        Err(_) => Err(MatrixError::unknown(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")),
    }
}
