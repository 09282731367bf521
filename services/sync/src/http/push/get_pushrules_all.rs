//! `GET /_matrix/client/*/pushrules/` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules>
//! The predefined rules; they cannot be changed yet.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{api::client::push::get_pushrules_all, push::Ruleset};

use crate::{error::SyncError, state::Sync};

pub(crate) async fn handler(
    State(_): State<Sync>,
    Matrix { auth, .. }: Matrix<get_pushrules_all::v3::Request, UserAuth>,
) -> Result<get_pushrules_all::v3::Response, SyncError> {
    Ok(get_pushrules_all::v3::Response::new(Ruleset::server_default(&auth.user_id)))
}
