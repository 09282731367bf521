//! Members of a room, as one user may see them.

use std::collections::BTreeSet;

use matrixon_rooms::{
    EventRow,
    events::{self, Direction, list_timeline},
    state,
};

use super::{token, view::View};
use crate::{error::RoomError, service::Room, store::memberships};

/// The membership events of some users.
pub(crate) async fn load_some(room: &Room, view: &View, user_ids: &BTreeSet<&str>) -> Result<Vec<EventRow>, RoomError> {
    if view.is_joined() {
        let user_ids: Vec<&str> = user_ids.iter().copied().collect();
        let positions = memberships::positions(&room.db, view.room.id, &user_ids).await?;
        return Ok(events::load_by_positions(&room.db, &positions).await?);
    }
    let mut rows = view.state(&room.db).await?;
    rows.retain(|row| {
        row.event_type == "m.room.member" && row.state_key.as_deref().is_some_and(|user_id| user_ids.contains(user_id))
    });
    Ok(rows)
}

/// Every membership event, now or at the place of a token.
pub(crate) async fn load_all(room: &Room, view: &View, at: Option<&str>) -> Result<Vec<EventRow>, RoomError> {
    let mut rows = match at.filter(|token| !token.is_empty()).map(token::parse).transpose()? {
        None => view.state(&room.db).await?,
        Some(place) => {
            let from = place.saturating_add(1);
            let latest = list_timeline(&room.db, view.room.id, from, i64::MIN, Direction::Backward, 1).await?;
            match latest.first() {
                Some(event) if view.can_see(event) || view.is_joined() => {
                    state::load_snapshot(&room.db, event.state_after).await?
                }
                _ => Vec::new(),
            }
        }
    };
    rows.retain(|row| row.event_type == "m.room.member");
    Ok(rows)
}
