//! `GET /_matrix/client/*/rooms/{roomId}/messages`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>
//! Errors: `M_FORBIDDEN` ← never in the room, and it is not world readable · `M_INVALID_PARAM` ← a token of another server

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use matrixon_rooms::events;
use ruma::api::{Direction, client::message::get_message_events::v3::Request};

use crate::{
    error::RoomError,
    read::messages::{Page, messages},
    service::Room,
};

#[tracing::instrument(name = "room.http.message.get_message_events", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let page = Page {
        from: req.from.as_deref(),
        to: req.to.as_deref(),
        direction: match req.dir {
            Direction::Forward => events::Direction::Forward,
            Direction::Backward => events::Direction::Backward,
        },
        limit: req.limit.into(),
        filter: &req.filter,
    };
    messages(&room, &auth, &req.room_id, page).await.map(RawJson)
}
