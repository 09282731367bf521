//! Who was not in a room when somebody sent a message there whose account has been erased since, gets the message redacted:
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use matrixon_accounts::standing;
use matrixon_matrix::{RoomVersion, redact::redact_client_json};
use matrixon_rooms::{Membership, rooms};
use matrixon_store::StoreError;

use crate::{
    error::SyncError,
    live::event::Event,
    state::Shared,
    store,
    streams::{Ask, News, Timeline},
};

/// Events from before the reader's present membership began; mostly there are none.
fn doubtful(timeline: &Timeline) -> impl Iterator<Item = &Arc<Event>> {
    let since = timeline.place.map_or(i64::MIN, |place| place.position);
    timeline.events.iter().filter(move |event| event.position < since && !event.is_state())
}

fn timelines(news: &News) -> impl Iterator<Item = &Timeline> {
    news.joined.values().filter_map(|room| room.timeline.as_ref())
}

/// Whether [`hide`] has anything to look at.
pub(crate) fn is_needed(news: &News) -> bool {
    timelines(news).any(|timeline| doubtful(timeline).next().is_some())
}

/// Redacts what erased accounts sent while the reader was not there.
pub(crate) async fn hide(shared: &Shared, ask: &Ask, news: &mut News) -> Result<(), SyncError> {
    let senders: BTreeSet<&str> = timelines(news).flat_map(doubtful).map(|event| &*event.sender).collect();
    let senders: Vec<&str> = senders.into_iter().collect();
    let erased = standing::find_erased(&shared.db, &senders).await?;
    if erased.is_empty() {
        return Ok(());
    }
    for (room_id, room) in &mut news.joined {
        let Some(timeline) = &mut room.timeline else { continue };
        let Some(number) = doubtful(timeline).find(|event| erased.contains(&*event.sender)).map(|event| event.room)
        else {
            continue;
        };
        let row = rooms::find_room(&shared.db, room_id).await?;
        let Some(version) = row.and_then(|row| RoomVersion::find(&row.room_version)) else { continue };
        let histories: HashMap<i64, Vec<(i64, Membership)>> =
            store::memberships::load_histories(&shared.db, &[number], &ask.user_id).await?;
        let history = histories.get(&number).map(Vec::as_slice).unwrap_or_default();
        for event in &mut timeline.events {
            let concerned = !event.is_state() && erased.contains(&*event.sender);
            if concerned && membership_at(history, event.position) != Membership::Join {
                *event = Arc::new(redacted(event, version)?);
            }
        }
    }
    Ok(())
}

fn membership_at(history: &[(i64, Membership)], position: i64) -> Membership {
    let at = history.partition_point(|(since, _)| *since <= position);
    at.checked_sub(1).map_or(Membership::Leave, |index| history[index].1)
}

fn redacted(event: &Event, version: RoomVersion) -> Result<Event, SyncError> {
    let inconsistent = |problem: String| SyncError::from(StoreError::inconsistent("events", problem));
    let json = std::str::from_utf8(&event.json).map_err(|error| inconsistent(error.to_string()))?;
    let json = redact_client_json(version, json).map_err(|error| inconsistent(error.to_string()))?;
    Ok(Event { json: json.into(), previous: None, ..event.clone() })
}
