//! One append: compute on the head, enqueue for the group commit, wait for the outcome, retry when the room has moved on.

use std::{sync::Arc, time::Duration};

use matrixon_rooms::state;
use matrixon_store::{StoreError, streams::AppendError};
use ruma::{EventId, OwnedEventId, RoomId};

use super::{
    draft::{Attempt, Draft, Plan, compute, find_first, parse_id, take_over},
    locked,
};
use crate::{
    error::RoomError,
    head::{Head, Slot},
    metrics,
    service::Room,
    store::{
        append::{Dedupe, Refusal},
        requests,
    },
};

/// Then the room is locked before the event is computed: another replica may win every race.
const OPTIMISTIC_ATTEMPTS: u32 = 5;
/// Then the client is told to come back later.
const MAX_ATTEMPTS: u32 = 20;

/// Appends an event and returns its id once it is committed.
///
/// `M_NOT_FOUND` ← unknown room · `M_FORBIDDEN` ← the rules reject · `M_TOO_LARGE` ← over 65,535 bytes
pub(crate) async fn append(room: &Room, room_id: &RoomId, draft: &Draft<'_>) -> Result<OwnedEventId, RoomError> {
    if let Dedupe::Key(key) = &draft.dedupe
        && let Some(event_id) = requests::find(&room.db, key).await?
    {
        return parse_id(&event_id);
    }
    for attempt in 0..MAX_ATTEMPTS {
        let outcome = if attempt < OPTIMISTIC_ATTEMPTS {
            try_append(room, room_id, draft).await?
        } else {
            locked::append_locked(room, room_id, draft).await?
        };
        match outcome {
            Attempt::Done(event_id) => return Ok(event_id),
            Attempt::Again => {
                metrics::APPEND_CONFLICTS.with_label_values(&["room"]).inc();
                pause(attempt).await;
            }
        }
    }
    Err(RoomError::Busy)
}

/// Nothing at first, then up to some milliseconds: replicas that fight over a room get out of step.
async fn pause(attempt: u32) {
    if attempt > 1 {
        let most = 2_u64 << attempt.min(5);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=most))).await;
    }
}

async fn try_append(room: &Room, room_id: &RoomId, draft: &Draft<'_>) -> Result<Attempt, RoomError> {
    let slot = room.heads.slot(room_id);
    let mut locked = slot.lock(&room.db, room_id).await?;
    let is_fresh = locked.is_fresh;
    let head = locked.head();
    match compute(room, head, draft).await {
        Ok(Plan::Event(planned)) => {
            let generation = head.generation;
            let event_id = planned.built.pdu.event_id.clone();
            let append = take_over(room, head, *planned, draft);
            // Should this future be dropped here, the head is ahead of the queue: the next append conflicts and reads SQL.
            let pending = room.appender.enqueue(append).await.map_err(append_error)?;
            room.heads.account(&slot, head);
            drop(locked);
            settle(&slot, generation, pending.wait().await.map(|_| event_id)).await
        }
        Ok(Plan::Already(event_id)) => {
            let (number, generation) = (head.room, head.generation);
            drop(locked);
            if is_current(room, number, draft, &event_id).await? {
                return Ok(Attempt::Done(event_id));
            }
            slot.invalidate(generation).await;
            Ok(Attempt::Again)
        }
        Err(error) => {
            let (number, generation) = (head.room, head.generation);
            drop(locked);
            if let Some(event_id) = find_first(room, number, draft).await? {
                return Ok(Attempt::Done(event_id));
            }
            // A rejection by a cached head counts only if SQL says the same.
            if is_fresh || !is_rejection(&error) || is_rejected_by_sql(room, room_id, draft).await? {
                return Err(error);
            }
            slot.invalidate(generation).await;
            Ok(Attempt::Again)
        }
    }
}

fn is_rejection(error: &RoomError) -> bool {
    matches!(
        error,
        RoomError::Forbidden(_) | RoomError::BadState(_) | RoomError::NotFound(_) | RoomError::CannotAuthoriseJoin
    )
}

/// What the writer said.
async fn settle(
    slot: &Arc<Slot>,
    generation: u64,
    outcome: Result<OwnedEventId, AppendError<Refusal>>,
) -> Result<Attempt, RoomError> {
    let error = match outcome {
        Ok(event_id) => return Ok(Attempt::Done(event_id)),
        Err(error) => error,
    };
    slot.invalidate(generation).await;
    match error {
        AppendError::Refused(Refusal::Duplicate(event_id)) => parse_id(&event_id).map(Attempt::Done),
        AppendError::Refused(Refusal::Conflict | Refusal::AliasInUse) => Ok(Attempt::Again),
        // another replica was faster with the same transaction id or key: the next attempt finds what it did
        AppendError::Store(error) if matches!(*error, StoreError::UniqueViolation { .. } | StoreError::Retry(_)) => {
            Ok(Attempt::Again)
        }
        error => Err(append_error(error)),
    }
}

pub(crate) fn append_error(error: AppendError<Refusal>) -> RoomError {
    match error {
        AppendError::Store(error) => RoomError::Store(error),
        AppendError::Closed => RoomError::Closing,
        AppendError::Refused(Refusal::AliasInUse) => RoomError::AliasInUse,
        AppendError::Refused(Refusal::Conflict | Refusal::Duplicate(_)) => RoomError::Busy,
    }
}

async fn is_rejected_by_sql(room: &Room, room_id: &RoomId, draft: &Draft<'_>) -> Result<bool, RoomError> {
    let mut head = Head::load(&room.db, room_id).await?;
    match compute(room, &mut head, draft).await {
        Ok(_) => Ok(false),
        Err(error) if is_rejection(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The head says that an event already says the same; only committed state counts.
async fn is_current(room: &Room, number: i64, draft: &Draft<'_>, event_id: &EventId) -> Result<bool, RoomError> {
    let state_key = draft.event.state_key.as_deref().unwrap_or_default();
    let current = state::find_current(&room.db, number, &draft.event.event_type, state_key).await?;
    Ok(current.is_some_and(|current| current.event_id == event_id.as_str()))
}
