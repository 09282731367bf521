//! `GET /_matrix/client/*/devices` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices>

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::device::get_devices::v3;

use crate::{error::AuthError, http::to_json, sessions::devices::DevicesAnswer, state::Auth, store::devices};

#[tracing::instrument(name = "auth.http.device.get_devices", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let rows = devices::list_devices(&auth.db, requester.user_id.as_str()).await?;
    Ok(RawJson(to_json(&DevicesAnswer::new(rows))?))
}
