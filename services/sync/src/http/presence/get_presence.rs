//! `GET /_matrix/client/*/presence/{userId}/status` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus>
//! Presence is not kept: everybody is offline.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{api::client::presence::get_presence, presence::PresenceState};

use crate::{error::SyncError, state::Sync};

pub(crate) async fn handler(
    State(_): State<Sync>,
    Matrix { .. }: Matrix<get_presence::v3::Request, UserAuth>,
) -> Result<get_presence::v3::Response, SyncError> {
    Ok(get_presence::v3::Response::new(PresenceState::Offline))
}
