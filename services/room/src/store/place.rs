//! Positions and state of the events of a batch.

use std::collections::{BTreeMap, HashMap};

use matrixon_store::{StoreError, Tx, exec, streams::Stream};

use super::{
    append::{Append, EventWrite, Placed, Replaced},
    insert::{self, Row},
    snapshots::Chain,
    state::{self, MembershipWrite, StateChanges, StateKey},
};

/// An accepted item with its room's number and the snapshot of the room's state before the batch.
#[derive(Clone, Copy)]
pub(crate) struct Accepted<'a> {
    pub(crate) item: &'a Append,
    pub(crate) room: i64,
    pub(crate) snapshot: i64,
}

impl<'a> Accepted<'a> {
    fn rows(self) -> impl Iterator<Item = Row<'a>> {
        let txn = self.item.txn().map(|(_, device_id, txn_id)| (device_id, txn_id));
        self.item.events.iter().map(move |event| Row {
            room: self.room,
            event,
            txn,
            placed: Placed { position: 0, state_before: self.snapshot, state_after: self.snapshot, replaced: None },
        })
    }
}

/// Messages only: no state changes, so one statement takes the positions and inserts.
pub(crate) async fn plain(tx: &mut Tx, accepted: &[Accepted<'_>]) -> Result<Vec<Placed>, StoreError> {
    let mut rows: Vec<Row<'_>> = accepted.iter().flat_map(|accepted| accepted.rows()).collect();
    let first = insert::advance_and_insert(tx, &mut rows).await?;
    Ok(rows.into_iter().zip(first..).map(|(row, position)| Placed { position, ..row.placed }).collect())
}

/// With state events or redactions. What needs no position is done before the stream is locked.
pub(crate) async fn with_state(tx: &mut Tx, accepted: &[Accepted<'_>]) -> Result<Vec<Placed>, StoreError> {
    let mut rows: Vec<Row<'_>> = accepted.iter().flat_map(|accepted| accepted.rows()).collect();
    let keys: Vec<StateKey> = rows.iter().filter_map(state_key_of).collect();
    let mut replaced = state::load_replaced(tx, &keys.iter().collect::<Vec<_>>()).await?;
    let mut chains = load_chains(tx, accepted, &keys).await?;
    let mut ids = state::allocate_ids(tx, keys.len()).await?.into_iter();

    let first = tx.advance(Stream::EVENTS, rows.len()).await?;
    let mut changes = StateChanges::default();
    for (row, position) in rows.iter_mut().zip(first..) {
        row.placed.position = position;
        let chain = chains.entry(row.room).or_default();
        if let Some((_, event_type, state_key)) = state_key_of(row) {
            let id = ids.next().ok_or_else(|| StoreError::inconsistent("state_snapshots", "too few ids"))?;
            place_state_event(row, id, (event_type, state_key), chain, &mut replaced, &mut changes);
        } else if chain.newest() != 0 {
            (row.placed.state_before, row.placed.state_after) = (chain.newest(), chain.newest());
        }
    }
    if !keys.is_empty() {
        changes.write(tx).await?;
    }
    write_redactions(tx, &rows).await?;
    insert::insert(tx, &rows).await?;
    Ok(rows.into_iter().map(|row| row.placed).collect())
}

fn state_key_of(row: &Row<'_>) -> Option<StateKey> {
    let state_key = row.event.state_key.clone()?;
    Some((row.room, row.event.event_type.clone(), state_key))
}

async fn load_chains(
    tx: &mut Tx,
    accepted: &[Accepted<'_>],
    keys: &[StateKey],
) -> Result<HashMap<i64, Chain>, StoreError> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for (room, ..) in keys {
        *counts.entry(*room).or_default() += 1;
    }
    let snapshots: HashMap<i64, i64> = accepted.iter().map(|accepted| (accepted.room, accepted.snapshot)).collect();
    let mut chains = HashMap::new();
    for (room, count) in counts {
        let snapshot = snapshots.get(&room).copied().unwrap_or_default();
        chains.insert(room, state::load_chain(tx, snapshot, count).await?);
    }
    Ok(chains)
}

fn place_state_event(
    row: &mut Row<'_>,
    id: i64,
    (event_type, state_key): (String, String),
    chain: &mut Chain,
    replaced: &mut HashMap<StateKey, Replaced>,
    changes: &mut StateChanges,
) {
    let EventWrite { membership, sender, json, .. } = row.event;
    let position = row.placed.position;
    row.placed.state_before = chain.newest();
    row.placed.state_after = id;
    let snapshot = chain.push(id, (event_type.clone(), state_key.clone()), position);
    changes.snapshots.push((row.room, snapshot));
    changes.newest.insert(row.room, id);
    if let Some(membership) = membership {
        let write = MembershipWrite { membership: membership.clone(), event: position, sender: sender.clone() };
        changes.memberships.insert((state_key.clone(), row.room), write);
    }
    let key = (row.room, event_type, state_key);
    changes.current.insert(key.clone(), position);
    row.placed.replaced = replaced.insert(key, Replaced { position, json: json.clone() });
}

/// Empties the redacted events. One that was redacted before stays with its first redaction.
async fn write_redactions(tx: &mut Tx, rows: &[Row<'_>]) -> Result<(), StoreError> {
    for row in rows {
        let Some(redaction) = &row.event.redaction else { continue };
        exec!(
            tx.ex(),
            "update events set json = $1, redacted_by = $2 where event_id = $3 and room = $4 and redacted_by is null",
            redaction.json.as_str(),
            row.placed.position,
            redaction.event_id.as_str(),
            row.room
        )?;
        if redaction.is_state {
            exec!(tx.ex(), "update rooms set state_redactions = state_redactions + 1 where id = $1", row.room)?;
        }
    }
    Ok(())
}
