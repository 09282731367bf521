//! `PUT /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}` —
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4108>
//!
//! Errors: `M_NOT_FOUND` ← no such session · `M_MISSING_PARAM` ← no `If-Match` · 412 `M_CONCURRENT_WRITE` ← somebody else
//! wrote since · `M_MISSING_PARAM`, `M_INVALID_PARAM` ← not `text/plain` · `M_TOO_LARGE` ← over 4 KiB

use axum::{body::Body, extract::State};
use http::{HeaderValue, StatusCode, header};
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use super::{check_content, respond};
use crate::{
    rendezvous::{self, Written},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.rendezvous.update_rendezvous_session", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { parts, path_args, body, meta, .. }: Raw<NoAuth>,
) -> Result<RawResponse, MatrixError> {
    let seen = parts.headers.get(header::IF_MATCH).and_then(|etag| etag.to_str().ok());
    let seen = seen.ok_or_else(|| MatrixError::missing_param("If-Match is missing"))?;
    check_content(&parts.headers, &body)?;
    match rendezvous::update(&auth, &path_args[0], seen, &body, &meta).await? {
        Written::Done(session) => Ok(RawResponse(respond(StatusCode::ACCEPTED, &session, Body::empty())?)),
        Written::Conflict(session) => {
            let error = MatrixError::unknown(StatusCode::PRECONDITION_FAILED, "the session was written to meanwhile")
                .with("org.matrix.msc4108.errcode", "M_CONCURRENT_WRITE");
            let mut response = respond(error.status, &session, Body::from(error.body()))?;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(RawResponse(response))
        }
    }
}
