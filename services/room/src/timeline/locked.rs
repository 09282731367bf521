//! The slow way to append: lock the room, then compute. It always gets its turn.

use matrixon_store::StoreError;
use ruma::RoomId;

use super::draft::{Attempt, Draft, Plan, compute, find_first, parse_id, take_over};
use crate::{
    error::RoomError,
    head::Head,
    service::Room,
    store::{append::Refusal, bell, heads, write_batch},
};

pub(super) async fn append_locked(room: &Room, room_id: &RoomId, draft: &Draft<'_>) -> Result<Attempt, RoomError> {
    let slot = room.heads.slot(room_id);
    // Appends of this replica wait here, and go on from what this one leaves behind.
    let mut cached = slot.exclusive().await;
    *cached = None;
    let mut tx = room.db.begin().await?;
    heads::lock(&mut tx, room_id.as_str()).await?;
    // by another connection: what is committed, and cannot change meanwhile
    let mut head = Head::load(&room.db, room_id).await?;
    let planned = match compute(room, &mut head, draft).await {
        Ok(Plan::Event(planned)) => planned,
        Ok(Plan::Already(event_id)) => return Ok(Attempt::Done(event_id)),
        Err(error) => {
            let first = find_first(room, head.room, draft).await?;
            return first.map(Attempt::Done).ok_or(error);
        }
    };
    let event_id = planned.built.pdu.event_id.clone();
    let items = [take_over(room, &mut head, *planned, draft)];
    let verdicts = match write_batch(&mut tx, &items).await {
        Err(StoreError::UniqueViolation { .. } | StoreError::Retry(_)) => return Ok(Attempt::Again),
        verdicts => verdicts?,
    };
    match &verdicts[..] {
        [Ok(_)] => {}
        [Err(Refusal::Duplicate(first))] => return parse_id(first).map(Attempt::Done),
        _ => return Ok(Attempt::Again),
    }
    // an error here means unknown, as in the group commit
    tx.commit().await.map_err(|error| StoreError::Unavailable(format!("commit: {error}")))?;
    bell::ring(&room.bus, &items, &verdicts);
    *cached = Some(head);
    Ok(Attempt::Done(event_id))
}
