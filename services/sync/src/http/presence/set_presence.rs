//! `PUT /_matrix/client/*/presence/{userId}/status` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus>
//! Presence is not kept: accepted, without effect. Errors: `M_FORBIDDEN` ← for another user · `M_INVALID_PARAM` ← no such state

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::presence::set_presence;

use crate::{
    error::SyncError,
    http::{check_own, check_presence},
    state::Sync,
};

pub(crate) async fn handler(
    State(_): State<Sync>,
    Matrix { req, auth, .. }: Matrix<set_presence::v3::Request, UserAuth>,
) -> Result<set_presence::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    check_presence(&req.presence)?;
    Ok(set_presence::v3::Response::new())
}
