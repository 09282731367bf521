pub(crate) mod create_rendezvous_session;
pub(crate) mod delete_rendezvous_session;
pub(crate) mod get_rendezvous_session;
pub(crate) mod update_rendezvous_session;

use std::time::{Duration, SystemTime};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use matrixon_http::MatrixError;

use crate::rendezvous::{MAX_BYTES, Rendezvous};

/// Where sessions are begun; each lives below, under its id.
pub(crate) const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous";
pub(crate) const SESSION_PATH: &str = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}";

/// `M_MISSING_PARAM`, `M_INVALID_PARAM` ← not `text/plain` · `M_TOO_LARGE` ← over 4 KiB
fn check_content(headers: &HeaderMap, content: &[u8]) -> Result<(), MatrixError> {
    let kind =
        headers.get(header::CONTENT_TYPE).ok_or_else(|| MatrixError::missing_param("Content-Type is missing"))?;
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/plain") {
        return Err(MatrixError::invalid_param("Content-Type must be text/plain"));
    }
    if content.len() > MAX_BYTES {
        return Err(MatrixError::too_large("a rendezvous holds at most 4 KiB"));
    }
    Ok(())
}

/// A response with what a session tells in headers.
fn respond(status: StatusCode, session: &Rendezvous, body: Body) -> Result<Response, MatrixError> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers: [(HeaderName, String); 5] = [
        (header::ETAG, session.etag()),
        (header::EXPIRES, http_date(session.expires_ms)),
        (header::LAST_MODIFIED, http_date(session.updated_ms)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::PRAGMA, "no-cache".to_owned()),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| MatrixError::internal())?);
    }
    Ok(response)
}

fn http_date(unix_ms: i64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms.max(0).unsigned_abs());
    httpdate::fmt_http_date(time)
}
