//! What a user may see of a room.

use matrixon_rooms::{
    EventRow, HistoryVisibility, Membership, MembershipRow, RoomRow, events, members, rooms, state, visibility::can_see,
};
use matrixon_store::Db;
use ruma::{RoomId, UserId};

use crate::error::RoomError;

/// A room as one user sees it.
pub(crate) struct View {
    pub(crate) room: RoomRow,
    pub(crate) membership: Option<MembershipRow>,
    /// The user's memberships over time.
    pub(crate) history: Vec<(i64, Membership)>,
    state: StateAt,
}

/// The state that the user may read.
#[derive(Clone, Copy)]
enum StateAt {
    Now,
    Snapshot(i64),
}

fn no_access() -> RoomError {
    RoomError::Forbidden("you are not in this room, and it is not open to everybody".to_owned())
}

impl View {
    /// `M_FORBIDDEN` ← unknown room; or never joined, or forgotten, in a room that is not world readable
    pub(crate) async fn load(db: &Db, room_id: &RoomId, user_id: &UserId) -> Result<Self, RoomError> {
        let room = rooms::find_room(db, room_id.as_str()).await?.ok_or_else(no_access)?;
        let membership = members::find(db, room.id, user_id.as_str()).await?.filter(|row| !row.forgotten);
        let history = match &membership {
            Some(_) => members::history(db, room.id, user_id.as_str()).await?,
            None => Vec::new(),
        };
        if membership.as_ref().is_some_and(|row| row.kind() == Membership::Join)
            || is_world_readable(db, room.id).await?
        {
            return Ok(Self { room, membership, history, state: StateAt::Now });
        }
        // who was in the room reads it as it was when they went
        let leave = history.windows(2).rev().find(|pair| pair[0].1 == Membership::Join).map(|pair| pair[1].0);
        let leave = leave.ok_or_else(no_access)?;
        let event = events::load_by_positions(db, &[leave]).await?.into_iter().next().ok_or_else(no_access)?;
        Ok(Self { room, membership, history, state: StateAt::Snapshot(event.state_after) })
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.membership.as_ref().is_some_and(|row| row.kind() == Membership::Join)
    }

    pub(crate) fn can_see(&self, event: &EventRow) -> bool {
        event.room == self.room.id && can_see(event.position, event.visibility(), &self.history)
    }

    /// The user's membership when an event was sent.
    pub(crate) fn membership_at(&self, position: i64) -> Membership {
        let at = self.history.partition_point(|(since, _)| *since <= position);
        at.checked_sub(1).map_or(Membership::Leave, |index| self.history[index].1)
    }

    pub(crate) async fn state(&self, db: &Db) -> Result<Vec<EventRow>, RoomError> {
        Ok(match self.state {
            StateAt::Now => state::load_current(db, self.room.id).await?,
            StateAt::Snapshot(snapshot) => state::load_snapshot(db, snapshot).await?,
        })
    }

    pub(crate) async fn find_state(
        &self,
        db: &Db,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<EventRow>, RoomError> {
        Ok(match self.state {
            StateAt::Now => state::find_current(db, self.room.id, event_type, state_key).await?,
            StateAt::Snapshot(snapshot) => state::find_in_snapshot(db, snapshot, event_type, state_key).await?,
        })
    }
}

async fn is_world_readable(db: &Db, room: i64) -> Result<bool, RoomError> {
    #[derive(serde::Deserialize)]
    struct Content {
        history_visibility: String,
    }
    let event = state::find_current(db, room, "m.room.history_visibility", "").await?;
    let content = event.as_ref().and_then(|event| events::content_of(&event.json));
    let content = content.and_then(|json| serde_json::from_str::<Content>(json).ok());
    Ok(content.is_some_and(|content| {
        HistoryVisibility::parse(Some(&content.history_visibility)) == HistoryVisibility::WorldReadable
    }))
}
