//! What is appended, computed on a head.

use matrixon_matrix::NewEvent;
use matrixon_rooms::events;
use matrixon_store::StoreError;
use ruma::{EventId, OwnedEventId};

use crate::{
    error::RoomError,
    head::{self, Head},
    service::Room,
    store::append::{Append, Dedupe, Redaction, Target},
};

/// An event to append, and what to do about repetitions.
pub(crate) struct Draft<'a> {
    pub(crate) event: NewEvent,
    pub(crate) dedupe: Dedupe,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) precheck: Precheck<'a>,
}

/// A look at the head, at the entries of the state that authorize the event or that it replaces.
pub(crate) enum Precheck<'a> {
    None,
    /// Which event already says the same.
    Find(fn(&Head, &NewEvent) -> Option<OwnedEventId>),
    /// Why not, beyond what the rules say.
    Refuse(&'a (dyn Fn(&Head, &NewEvent) -> Result<(), RoomError> + Send + Sync)),
}

pub(super) enum Attempt {
    Done(OwnedEventId),
    Again,
}

pub(super) enum Plan {
    Event(Box<head::Planned>),
    Already(OwnedEventId),
}

pub(super) async fn compute(room: &Room, head: &mut Head, draft: &Draft<'_>) -> Result<Plan, RoomError> {
    let keys = head::needed_state(head, &draft.event)?;
    head.require(&room.db, &keys).await?;
    match draft.precheck {
        Precheck::None => {}
        Precheck::Find(find) => {
            if let Some(event_id) = find(head, &draft.event) {
                return Ok(Plan::Already(event_id));
            }
        }
        Precheck::Refuse(check) => check(head, &draft.event)?,
    }
    let planned = head::plan(head, &draft.event, &room.signer, room.clock.now_ms())?;
    Ok(Plan::Event(Box::new(planned)))
}

/// Moves the head on to the planned event, and makes its append.
pub(super) fn take_over(room: &Room, head: &mut Head, planned: head::Planned, draft: &Draft<'_>) -> Append {
    let (base, tips) = (head.revision, serde_json::json!(head.extremities).to_string());
    head.revision += 1;
    head.apply(&planned.built);
    if draft.redaction.as_ref().is_some_and(|redaction| redaction.is_state) {
        head.stale = true; // cached state may be what is redacted
    }
    Append {
        target: Target::Room { room: head.room, base, tips },
        room_id: head.room_id.clone(),
        extremities: format!("[\"{}\"]", planned.built.pdu.event_id),
        depth: planned.built.pdu.depth,
        events: vec![head::to_write(planned, draft.redaction.clone())],
        dedupe: draft.dedupe.clone(),
        now_ms: room.clock.now_ms(),
    }
}

pub(crate) fn parse_id(event_id: &str) -> Result<OwnedEventId, RoomError> {
    EventId::parse(event_id).map_err(|error| StoreError::inconsistent("events", error.to_string()).into())
}

/// The event that this very transaction sent before. A sender that may no longer send still learns of it.
pub(super) async fn find_first(room: &Room, number: i64, draft: &Draft<'_>) -> Result<Option<OwnedEventId>, RoomError> {
    let Dedupe::Txn { sender, device_id, txn_id } = &draft.dedupe else { return Ok(None) };
    let known = events::find_by_txn(&room.db, number, sender, device_id, txn_id).await?;
    known.map(|event_id| parse_id(&event_id)).transpose()
}
