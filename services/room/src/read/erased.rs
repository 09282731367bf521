//! Who was not in a room when somebody sent a message there whose account has been erased since, gets the message redacted:
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>

use std::{borrow::Cow, collections::BTreeSet};

use matrixon_accounts::standing;
use matrixon_matrix::{RoomVersion, redact::redact_client_json};
use matrixon_rooms::{EventRow, Membership};
use matrixon_store::StoreError;

use super::view::View;
use crate::{error::RoomError, service::Room};

/// The events as this reader may have them.
pub(super) async fn hide<'a>(room: &Room, view: &View, rows: &'a [EventRow]) -> Result<Cow<'a, [EventRow]>, RoomError> {
    // messages only: a state that cannot be read would break the room for its reader
    let strange = |row: &&EventRow| row.state_key.is_none() && view.membership_at(row.position) != Membership::Join;
    let senders: BTreeSet<&str> = rows.iter().filter(strange).map(|row| row.sender.as_str()).collect();
    if senders.is_empty() {
        return Ok(Cow::Borrowed(rows));
    }
    let senders: Vec<&str> = senders.into_iter().collect();
    let erased = standing::find_erased(&room.db, &senders).await?;
    if erased.is_empty() {
        return Ok(Cow::Borrowed(rows));
    }
    let inconsistent = |problem: String| RoomError::from(StoreError::inconsistent("events", problem));
    let version = RoomVersion::find(&view.room.room_version)
        .ok_or_else(|| inconsistent(format!("unknown room version {}", view.room.room_version)))?;
    let mut rows = rows.to_vec();
    for row in &mut rows {
        if strange(&&*row) && erased.contains(&row.sender) {
            row.json = redact_client_json(version, &row.json).map_err(|error| inconsistent(error.to_string()))?;
        }
    }
    Ok(Cow::Owned(rows))
}
