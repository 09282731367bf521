//! `POST /_matrix/client/unstable/org.matrix.msc4108/rendezvous` —
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4108>
//!
//! Errors: `M_UNRECOGNIZED` ← `server.client_base_url` is not configured · `M_MISSING_PARAM`, `M_INVALID_PARAM` ← not
//! `text/plain` · `M_TOO_LARGE` ← over 4 KiB · `M_LIMIT_EXCEEDED` ← too many sessions

use axum::{body::Body, extract::State};
use http::{HeaderValue, StatusCode, header};
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};
use serde_json::json;

use super::{PATH, check_content, respond};
use crate::{rendezvous, state::Auth};

#[tracing::instrument(name = "auth.http.rendezvous.create_rendezvous_session", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { parts, body, meta, .. }: Raw<NoAuth>,
) -> Result<RawResponse, MatrixError> {
    let unknown = || MatrixError::unrecognized(StatusCode::NOT_FOUND);
    let base_url = auth.client_base_url.as_deref().ok_or_else(unknown)?;
    check_content(&parts.headers, &body)?;
    let (id, session) = rendezvous::create(&auth, &body, &meta).await?;
    let answer = json!({ "url": format!("{}{PATH}/{id}", base_url.trim_end_matches('/')) });
    let mut response = respond(StatusCode::CREATED, &session, Body::from(answer.to_string()))?;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(RawResponse(response))
}
