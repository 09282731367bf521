//! State of rooms: now, and at any event.

use std::collections::HashMap;

use matrixon_store::{Db, StoreError, sql};

use crate::events::{self, EventRow, select};

/// The whole current state.
pub async fn load_current(db: &Db, room: i64) -> Result<Vec<EventRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as EventRow,
        select!("from current_state c join events e on e.position = c.event where c.room = $1 order by e.position"),
        room
    )
}

pub async fn find_current(
    db: &Db,
    room: i64,
    event_type: &str,
    state_key: &str,
) -> Result<Option<EventRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as EventRow,
        select!(
            "from current_state c join events e on e.position = c.event where c.room = $1 and c.event_type = $2 and c.state_key = $3"
        ),
        room,
        event_type,
        state_key
    )
}

/// Current state but for members: in big rooms the part that is small.
pub async fn load_current_without_members(db: &Db, room: i64) -> Result<Vec<EventRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as EventRow,
        select!(
            "from current_state c join events e on e.position = c.event
                 where c.room = $1 and c.event_type <> 'm.room.member' order by e.position"
        ),
        room
    )
}

/// The state that a snapshot stands for: its entries and those of its ancestors, the nearest winning.
pub async fn load_snapshot(db: &Db, snapshot: i64) -> Result<Vec<EventRow>, StoreError> {
    if snapshot == 0 {
        return Ok(Vec::new());
    }
    let entries = sql!(
        db.read(), fetch_all as (i64, i64),
        "with recursive chain (id, parent, level) as (
             select s.id, s.parent, cast(0 as bigint) from state_snapshots s where s.id = $1
             union all
             select s.id, s.parent, chain.level + 1 from state_snapshots s join chain on s.id = chain.parent)
         select se.event, min(chain.level) from chain join state_entries se on se.snapshot = chain.id group by se.event",
        snapshot
    )?;
    let levels: HashMap<i64, i64> = entries.into_iter().collect();
    let rows = events::load_by_positions(db, &levels.keys().copied().collect::<Vec<_>>()).await?;
    let mut nearest: HashMap<(String, String), (i64, EventRow)> = HashMap::with_capacity(rows.len());
    for row in rows {
        let level = levels.get(&row.position).copied().unwrap_or(i64::MAX);
        let key = (row.event_type.clone(), row.state_key.clone().unwrap_or_default());
        if nearest.get(&key).is_none_or(|(known, _)| level < *known) {
            nearest.insert(key, (level, row));
        }
    }
    let mut rows: Vec<_> = nearest.into_values().map(|(_, row)| row).collect();
    rows.sort_unstable_by_key(|row| row.position);
    Ok(rows)
}

/// One entry of the state that a snapshot stands for.
pub async fn find_in_snapshot(
    db: &Db,
    snapshot: i64,
    event_type: &str,
    state_key: &str,
) -> Result<Option<EventRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as EventRow,
        select!(
            "from (with recursive chain (id, parent, level) as (
                     select s.id, s.parent, cast(0 as bigint) from state_snapshots s where s.id = $1
                     union all
                     select s.id, s.parent, chain.level + 1 from state_snapshots s join chain on s.id = chain.parent)
                   select se.event, chain.level from chain join state_entries se on se.snapshot = chain.id) c
                 join events e on e.position = c.event
                 where e.event_type = $2 and e.state_key = $3 order by c.level limit 1"
        ),
        snapshot,
        event_type,
        state_key
    )
}
