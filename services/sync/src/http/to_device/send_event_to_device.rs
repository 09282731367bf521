//! `PUT /_matrix/client/*/sendToDevice/{eventType}/{txnId}` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid>
//! Errors: 413 `M_TOO_LARGE` ← a message over 65,536 bytes, or more than 10,000 messages · `M_BAD_JSON` ← a message is no
//! object · `M_INVALID_PARAM` ← the type is too long. Users and devices that are not known here are passed over.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::to_device::send_event_to_device;

use crate::{devices, error::SyncError, state::Sync, to_device};

#[tracing::instrument(name = "sync.http.to_device.send_event_to_device", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<send_event_to_device::v3::Request, UserAuth>,
) -> Result<send_event_to_device::v3::Response, SyncError> {
    let transaction = to_device::Transaction {
        user_id: auth.user_id.as_str(),
        device: devices::number(&sync, &auth).await?,
        event_type: &req.event_type.to_string(),
        txn_id: req.txn_id.as_str(),
    };
    to_device::send(&sync, transaction, &req.messages).await?;
    Ok(send_event_to_device::v3::Response::new())
}
