//! `GET /_matrix/client/*/rooms/{roomId}/joined_members`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members>
//! Errors: `M_FORBIDDEN` ← not in the room

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use matrixon_rooms::events::content_of;
use ruma::api::client::membership::joined_members::v3::Request;
use serde_json::{Map, Value, json};

use crate::{
    error::RoomError,
    read::{members, view::View},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.joined_members", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let view = View::load(&room.db, &req.room_id, &auth.user_id).await?;
    if !view.is_joined() {
        return Err(RoomError::Forbidden("you are not in this room".to_owned()));
    }
    let mut joined = Map::new();
    for row in members::load_all(&room, &view, None).await? {
        if row.membership.as_deref() == Some("join") {
            joined.insert(row.state_key.unwrap_or_default(), profile(content_of(&row.json)));
        }
    }
    Ok(RawJson(json!({ "joined": joined }).to_string().into()))
}

/// Names of another shape than the specification's are left out: clients rely on them.
fn profile(content: Option<&str>) -> Value {
    let content: Map<String, Value> = content.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut profile = Map::new();
    for (from, to) in [("displayname", "display_name"), ("avatar_url", "avatar_url")] {
        if let Some(value) = content.get(from).filter(|value| value.is_string()) {
            profile.insert(to.to_owned(), value.clone());
        }
    }
    Value::Object(profile)
}
