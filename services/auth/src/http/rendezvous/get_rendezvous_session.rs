//! `GET /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}` —
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4108>
//!
//! 304 ← nothing new since `If-None-Match`. Errors: `M_NOT_FOUND` ← no such session

use axum::{body::Body, extract::State};
use http::{HeaderValue, StatusCode, header};
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use super::respond;
use crate::{rendezvous, state::Auth};

#[tracing::instrument(name = "auth.http.rendezvous.get_rendezvous_session", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { parts, path_args, .. }: Raw<NoAuth>,
) -> Result<RawResponse, MatrixError> {
    let session = rendezvous::get(&auth, &path_args[0]).await?;
    let seen = parts.headers.get(header::IF_NONE_MATCH).and_then(|etag| etag.to_str().ok());
    if seen == Some(session.etag().as_str()) {
        return Ok(RawResponse(respond(StatusCode::NOT_MODIFIED, &session, Body::empty())?));
    }
    let mut response = respond(StatusCode::OK, &session, Body::from(session.content.clone()))?;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(RawResponse(response))
}
