//! `GET /_matrix/client/v1/mutual_rooms` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms>,
//! and its forerunner of MSC2666, whose drafts called the token `next_batch_token`.
//! Errors: `M_INVALID_PARAM` ← oneself, no user id, or a token that is none

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::membership::get_mutual_rooms::{unstable, v1};
use serde_json::json;

use crate::{error::RoomError, mutual::mutual_rooms, service::Room};

#[tracing::instrument(name = "room.http.membership.get_mutual_rooms", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<v1::Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let found = mutual_rooms(&room, &auth.user_id, &req.user_id, req.from.as_deref()).await?;
    let mut answer = json!({ "joined": found.joined, "count": found.count });
    if let Some(next_batch) = found.next_batch {
        answer["next_batch"] = next_batch.into();
    }
    Ok(RawJson(answer.to_string().into()))
}

#[tracing::instrument(name = "room.http.membership.get_mutual_rooms_unstable", skip_all)]
pub(crate) async fn unstable_handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<unstable::Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let found = mutual_rooms(&room, &auth.user_id, &req.user_id, req.from.as_deref()).await?;
    let mut answer = json!({ "joined": found.joined, "count": found.count });
    if let Some(next_batch) = found.next_batch {
        answer["next_batch_token"] = next_batch.as_str().into();
        answer["next_batch"] = next_batch.into();
    }
    Ok(RawJson(answer.to_string().into()))
}
