//! `DELETE /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}` —
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/4108>
//!
//! Errors: `M_NOT_FOUND` ← no such session

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;
use matrixon_http::{MatrixError, NoAuth, Raw, RawResponse};

use crate::{rendezvous, state::Auth};

#[tracing::instrument(name = "auth.http.rendezvous.delete_rendezvous_session", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { path_args, .. }: Raw<NoAuth>,
) -> Result<RawResponse, MatrixError> {
    rendezvous::delete(&auth, &path_args[0]).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(RawResponse(response))
}
