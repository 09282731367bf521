//! The state tables: snapshots, current state and memberships. Only batches with state events come here.

use std::collections::{BTreeMap, HashMap};

use matrixon_store::{StoreError, Tx, exec, sql};
use serde_json::json;

use super::{
    append::Replaced,
    snapshots::{Chain, Entries, Snapshot, needed_above},
};

/// (room, event type, state key)
pub(crate) type StateKey = (i64, String, String);

/// A row of `memberships`.
#[derive(Clone, Debug)]
pub(crate) struct MembershipWrite {
    pub(crate) membership: String,
    pub(crate) event: i64,
    pub(crate) sender: String,
}

/// What the state events of a batch change.
#[derive(Debug, Default)]
pub(crate) struct StateChanges {
    pub(crate) snapshots: Vec<(i64, Snapshot)>,
    pub(crate) current: BTreeMap<StateKey, i64>,
    /// (user id, room)
    pub(crate) memberships: BTreeMap<(String, i64), MembershipWrite>,
    /// Room → its newest snapshot.
    pub(crate) newest: BTreeMap<i64, i64>,
}

/// What the batch is about to replace.
pub(crate) async fn load_replaced(tx: &mut Tx, keys: &[&StateKey]) -> Result<HashMap<StateKey, Replaced>, StoreError> {
    let rows = sql!(
        tx.ex(), fetch_all as (i64, String, String, i64, String),
        pg: "select c.room, c.event_type, c.state_key, e.position, e.json
             from json_array_elements($1::json) as t (k)
             join current_state c on c.room = (k->>0)::bigint and c.event_type = k->>1 and c.state_key = k->>2
             join events e on e.position = c.event",
        lite: "select c.room, c.event_type, c.state_key, e.position, e.json
               from json_each($1) t
               join current_state c on c.room = json_extract(t.value, '$[0]')
                   and c.event_type = json_extract(t.value, '$[1]') and c.state_key = json_extract(t.value, '$[2]')
               join events e on e.position = c.event",
        json!(keys).to_string()
    )?;
    Ok(rows
        .into_iter()
        .map(|(room, event_type, state_key, position, json)| {
            ((room, event_type, state_key), Replaced { position, json })
        })
        .collect())
}

/// The part of a room's snapshot chain that `count` more state events build on.
pub(crate) async fn load_chain(tx: &mut Tx, snapshot: i64, count: usize) -> Result<Chain, StoreError> {
    let mut chain = Chain::default();
    if snapshot == 0 {
        return Ok(chain);
    }
    let (height,) = sql!(tx.ex(), fetch_one as (i64,), "select height from state_snapshots where id = $1", snapshot)?;
    let above = needed_above(height, count);
    if above == height {
        chain.load(snapshot, height, Entries::new()); // only referred to, never merged
        return Ok(chain);
    }
    let rows = sql!(
        tx.ex(),
        fetch_all as (i64, i64, Option<i64>, Option<String>, Option<String>),
        "with recursive chain (id, parent, height) as (
             select id, parent, height from state_snapshots where id = $1
             union all
             select s.id, s.parent, s.height from state_snapshots s join chain c on s.id = c.parent where c.height > $2)
         select c.id, c.height, e.event, ev.event_type, ev.state_key
         from chain c
         left join state_entries e on e.snapshot = c.id and c.height > $2
         left join events ev on ev.position = e.event
         order by c.height",
        snapshot,
        above
    )?;
    let mut nodes: Vec<(i64, i64, Entries)> = Vec::new();
    for (id, height, position, event_type, state_key) in rows {
        if nodes.last().is_none_or(|node| node.0 != id) {
            nodes.push((id, height, Entries::new()));
        }
        if let (Some(position), Some(event_type), Some(node)) = (position, event_type, nodes.last_mut()) {
            node.2.insert((event_type, state_key.unwrap_or_default()), position);
        }
    }
    for (id, height, entries) in nodes {
        chain.load(id, height, entries);
    }
    Ok(chain)
}

/// Ids for new snapshots.
pub(crate) async fn allocate_ids(tx: &mut Tx, count: usize) -> Result<Vec<i64>, StoreError> {
    let rows = sql!(
        tx.ex(), fetch_all as (i64,),
        pg: "select nextval(pg_get_serial_sequence('state_snapshots', 'id')) from generate_series(1, $1)",
        lite: "with recursive ids (n) as (select 1 union all select n + 1 from ids where n < $1)
               select (select coalesce(max(id), 0) from state_snapshots) + n from ids",
        count as i64
    )?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

impl StateChanges {
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        self.write_snapshots(tx).await?;
        self.write_current(tx).await?;
        self.write_memberships(tx).await
    }

    async fn write_snapshots(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let snapshots: Vec<_> =
            self.snapshots.iter().map(|(room, s)| (s.id, room, s.parent, s.height, s.previous)).collect();
        exec!(
            tx.ex(),
            pg: "insert into state_snapshots (id, room, parent, height, previous) overriding system value
                 select (s->>0)::bigint, (s->>1)::bigint, (s->>2)::bigint, (s->>3)::bigint, (s->>4)::bigint
                 from json_array_elements($1::json) as t (s)",
            lite: "insert into state_snapshots (id, room, parent, height, previous)
                   select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
                          json_extract(value, '$[3]'), json_extract(value, '$[4]') from json_each($1)",
            json!(snapshots).to_string()
        )?;
        let entries: Vec<(i64, i64)> = self
            .snapshots
            .iter()
            .flat_map(|(_, snapshot)| snapshot.entries.values().map(|position| (snapshot.id, *position)))
            .collect();
        exec!(
            tx.ex(),
            pg: "insert into state_entries (snapshot, event)
                 select (e->>0)::bigint, (e->>1)::bigint from json_array_elements($1::json) as t (e)",
            lite: "insert into state_entries (snapshot, event)
                   select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each($1)",
            json!(entries).to_string()
        )?;
        let newest: Vec<_> = self.newest.iter().collect();
        exec!(
            tx.ex(),
            pg: "update rooms set state_snapshot = (s->>1)::bigint
                 from json_array_elements($1::json) as t (s) where id = (s->>0)::bigint",
            lite: "update rooms set state_snapshot = json_extract(s.value, '$[1]')
                   from json_each($1) s where rooms.id = json_extract(s.value, '$[0]')",
            json!(newest).to_string()
        )?;
        Ok(())
    }

    async fn write_current(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows: Vec<_> = self
            .current
            .iter()
            .map(|((room, event_type, state_key), position)| (room, event_type, state_key, position))
            .collect();
        exec!(
            tx.ex(),
            pg: "insert into current_state (room, event_type, state_key, event)
                 select (c->>0)::bigint, c->>1, c->>2, (c->>3)::bigint from json_array_elements($1::json) as t (c)
                 on conflict (room, event_type, state_key) do update set event = excluded.event",
            lite: "insert into current_state (room, event_type, state_key, event)
                   select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
                          json_extract(value, '$[3]') from json_each($1) where true
                   on conflict (room, event_type, state_key) do update set event = excluded.event",
            json!(rows).to_string()
        )?;
        Ok(())
    }

    async fn write_memberships(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if self.memberships.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self
            .memberships
            .iter()
            .map(|((user_id, room), row)| (user_id, room, &row.membership, row.event, &row.sender))
            .collect();
        exec!(
            tx.ex(),
            pg: "insert into memberships (user_id, room, membership, event, sender)
                 select m->>0, (m->>1)::bigint, m->>2, (m->>3)::bigint, m->>4 from json_array_elements($1::json) as t (m)
                 on conflict (user_id, room) do update set membership = excluded.membership, event = excluded.event,
                     sender = excluded.sender, forgotten = false",
            lite: "insert into memberships (user_id, room, membership, event, sender)
                   select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
                          json_extract(value, '$[3]'), json_extract(value, '$[4]') from json_each($1) where true
                   on conflict (user_id, room) do update set membership = excluded.membership, event = excluded.event,
                       sender = excluded.sender, forgotten = false",
            json!(rows).to_string()
        )?;
        Ok(())
    }
}
