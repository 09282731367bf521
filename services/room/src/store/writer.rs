//! Group commit of events: one transaction for the appends of many rooms.
//!
//! 1. requests committed before drop out, rooms are locked in the order of their numbers and their versions checked
//!    ([`gate`](super::gate)); new rooms get their rows
//! 2. state tables, for state events only
//! 3. positions and events, last of all; COMMIT

use matrixon_bus::Bus;
use matrixon_store::{StoreError, Tx, exec, sql, streams::StreamWriter};

use super::{
    append::{Append, Committed, Dedupe, NewRoom, Placed, Refusal, Target},
    bell, gate,
    place::{self, Accepted},
    requests,
};
use crate::metrics;

pub(crate) struct EventsWriter {
    bus: Bus,
}

impl EventsWriter {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

type Verdict = Result<Committed, Refusal>;

impl StreamWriter for EventsWriter {
    type Item = Append;
    type Done = Committed;
    type Refusal = Refusal;

    async fn write(&self, tx: &mut Tx, items: &[Append]) -> Result<Vec<Verdict>, StoreError> {
        let timer = metrics::EVENT_PERSIST.start_timer();
        let verdicts = write_batch(tx, items).await?;
        timer.observe_duration();
        Ok(verdicts)
    }

    fn committed(&self, items: &[Append], verdicts: &[Verdict]) {
        bell::ring(&self.bus, items, verdicts);
    }

    fn bytes(&self, item: &Append) -> usize {
        item.bytes()
    }
}

pub(crate) async fn write_batch(tx: &mut Tx, items: &[Append]) -> Result<Vec<Verdict>, StoreError> {
    let mut refusals: Vec<Option<Refusal>> = vec![None; items.len()];
    requests::refuse_known(tx, items, &mut refusals).await?;
    let passed = gate::pass(tx, items, &mut refusals).await?;

    let mut accepted: Vec<Accepted<'_>> = Vec::with_capacity(items.len());
    for (item, refusal) in items.iter().zip(&mut refusals) {
        if refusal.is_some() {
            continue;
        }
        match &item.target {
            Target::Room { room, .. } => {
                let snapshot = passed.get(room).map_or(0, |passed| passed.state_snapshot);
                accepted.push(Accepted { item, room: *room, snapshot });
            }
            Target::New(new) => match insert_room(tx, item, new).await? {
                Ok(room) => accepted.push(Accepted { item, room, snapshot: 0 }),
                Err(refused) => *refusal = Some(refused),
            },
        }
    }
    if accepted.is_empty() {
        return Ok(refusals.into_iter().map(|refusal| Err(refusal.unwrap_or(Refusal::Conflict))).collect());
    }

    let placed = if accepted.iter().all(|accepted| accepted.item.is_plain()) {
        place::plain(tx, &accepted).await?
    } else {
        requests::record(tx, &accepted.iter().map(|accepted| accepted.item).collect::<Vec<_>>()).await?;
        place::with_state(tx, &accepted).await?
    };
    Ok(verdicts(refusals, &accepted, placed))
}

/// Hands the placed events back to their items.
fn verdicts(refusals: Vec<Option<Refusal>>, accepted: &[Accepted<'_>], placed: Vec<Placed>) -> Vec<Verdict> {
    let mut placed = placed.into_iter();
    let mut accepted = accepted.iter();
    refusals
        .into_iter()
        .map(|refusal| match (refusal, accepted.as_slice().first()) {
            (Some(refusal), _) => Err(refusal),
            (None, Some(next)) => {
                accepted.next();
                Ok(Committed { room: next.room, events: placed.by_ref().take(next.item.events.len()).collect() })
            }
            (None, None) => Err(Refusal::Conflict),
        })
        .collect()
}

async fn insert_room(tx: &mut Tx, item: &Append, new: &NewRoom) -> Result<Result<i64, Refusal>, StoreError> {
    if let Some((alias, _)) = &new.alias {
        let taken =
            sql!(tx.ex(), fetch_optional as (i64,), "select room from room_aliases where alias = $1", alias.as_str())?;
        if taken.is_some() {
            return Ok(Err(Refusal::AliasInUse));
        }
    }
    let key = match &item.dedupe {
        Dedupe::Key(key) => Some(key.as_str()),
        Dedupe::None | Dedupe::Txn { .. } => None,
    };
    let (room,) = sql!(
        tx.ex(),
        fetch_one as (i64,),
        "insert into rooms (room_id, room_version, version, forward_extremities, depth, state_snapshot, created_ts,
                            published, idempotency_key)
         values ($1, $2, 1, $3, $4, 0, $5, $6, $7) returning id",
        item.room_id.as_str(),
        new.room_version,
        item.extremities.as_str(),
        item.depth,
        item.now_ms,
        new.published,
        key
    )?;
    if let Some((alias, creator)) = &new.alias {
        exec!(
            tx.ex(),
            "insert into room_aliases (alias, room, creator) values ($1, $2, $3)",
            alias.as_str(),
            room,
            creator.as_str()
        )?;
    }
    Ok(Ok(room))
}
