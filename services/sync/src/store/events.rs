//! Reads of events and state for many rooms at once: a constant number of statements, whatever the number of rooms.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use matrixon_rooms::state;
use matrixon_store::{Db, StoreError, sql};

use super::{
    json_list,
    rows::{Interner, Row, select},
};
use crate::{
    live::{event::Event, state::RoomState},
    streams::{Gap, LoadedGap, LoadedLeft},
};

/// Accepted events with positions in (after, upto], ascending.
pub(crate) async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<Event>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as Row,
        select!(
            "from events e join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = e.replaces ",
            "where e.position > $1 and e.position <= $2 and e.status = 0 order by e.position",
        ),
        after,
        upto
    )?;
    let mut interner = Interner::default();
    Ok(rows.into_iter().map(|row| Arc::unwrap_or_clone(interner.event(row))).collect())
}

/// The bytes of events as they are now, by event id.
pub(crate) async fn load_json(db: &Db, event_ids: &[&str]) -> Result<HashMap<String, Bytes>, StoreError> {
    let rows = matrixon_rooms::events::load_events(db, event_ids).await?;
    Ok(rows.into_iter().map(|row| (row.event_id, crate::json::without_room_id(row.json.as_bytes()))).collect())
}

/// Current state of rooms, and the position as of which it is the state.
pub(crate) async fn load_states(db: &Db, rooms: &[i64]) -> Result<(i64, HashMap<i64, RoomState>), StoreError> {
    let rows = sql!(
        db.read(), fetch_all as Row,
        pg: select!(
            "from (select value::bigint as room from json_array_elements_text($1::json)) l ",
            "join current_state c on c.room = l.room join events e on e.position = c.event ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = 0",
        ),
        lite: select!(
            "from json_each($1) l ",
            "join current_state c on c.room = l.value join events e on e.position = c.event ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = 0",
        ),
        json_list(rooms)
    )?;
    let head = rows.first().map_or(0, |row| row.head);
    let mut interner = Interner::default();
    let mut states: HashMap<i64, RoomState> = HashMap::new();
    for row in rows {
        states.entry(row.room).or_default().apply(interner.event(row));
    }
    Ok((head, states))
}

/// The newest `limit` events of each room in (after, upto], ascending.
pub(crate) async fn load_timelines(
    db: &Db,
    rooms: &[i64],
    after: i64,
    upto: i64,
    limit: usize,
) -> Result<HashMap<i64, Vec<Arc<Event>>>, StoreError> {
    let mut rows = sql!(
        db.read(), fetch_all as Row,
        pg: select!(
            "from (select value::bigint as room from json_array_elements_text($1::json)) l ",
            "cross join lateral (select * from events x where x.room = l.room and x.position > $2 and x.position <= $3 ",
            "and x.status = 0 order by x.position desc limit $4) e ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = e.replaces",
        ),
        lite: select!(
            "from json_each($1) l join events e on e.position in (select x.position from events x ",
            "where x.room = l.value and x.position > $2 and x.position <= $3 and x.status = 0 ",
            "order by x.position desc limit $4) ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = e.replaces",
        ),
        json_list(rooms), after, upto, limit as i64
    )?;
    rows.sort_unstable_by_key(|row| row.position);
    Ok(by_room(rows))
}

/// The latest state event of every key in (after, the room's own bound], for rooms given with their bounds.
pub(crate) async fn load_changed(
    db: &Db,
    rooms: &[(i64, i64)],
    after: i64,
) -> Result<HashMap<i64, Vec<Arc<Event>>>, StoreError> {
    if rooms.is_empty() {
        return Ok(HashMap::new());
    }
    let mut rows = sql!(
        db.read(), fetch_all as Row,
        pg: select!(
            "from (select (value->>0)::bigint as room, (value->>1)::bigint as upto from json_array_elements($1::json)) l ",
            "cross join lateral (select max(x.position) as position from events x where x.room = l.room ",
            "and x.state_key is not null and x.position > $2 and x.position <= l.upto and x.status = 0 ",
            "group by x.event_type, x.state_key) m ",
            "join events e on e.position = m.position ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = e.replaces",
        ),
        lite: select!(
            "from json_each($1) l join events e on e.position in (select max(x.position) from events x ",
            "where x.room = json_extract(l.value, '$[0]') and x.state_key is not null and x.position > $2 ",
            "and x.position <= json_extract(l.value, '$[1]') and x.status = 0 group by x.event_type, x.state_key) ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = e.replaces",
        ),
        json_list(rooms), after
    )?;
    rows.sort_unstable_by_key(|row| row.position);
    Ok(by_room(rows))
}

/// What happened in rooms since a client was last here.
pub(crate) async fn load_gaps(db: &Db, gaps: &[Gap]) -> Result<HashMap<i64, LoadedGap>, StoreError> {
    let mut loaded = HashMap::new();
    for group in gaps.chunk_by(|a, b| (a.since, a.upto, a.limit) == (b.since, b.upto, b.limit)) {
        let Gap { since, upto, limit, .. } = group[0];
        let rooms: Vec<i64> = group.iter().map(|gap| gap.room).collect();
        let mut timelines = load_timelines(db, &rooms, since, upto, limit).await?;
        for room in rooms {
            let events = timelines.remove(&room).unwrap_or_default();
            let full = events.len() >= limit;
            let low = events.first().filter(|_| full).map_or(since, |first| first.position - 1);
            loaded.insert(room, LoadedGap { low, upto, events, changed: Vec::new() });
        }
        let cut = |(room, gap): (&i64, &LoadedGap)| (gap.low > since && gap.upto == upto).then_some((*room, gap.low));
        let bounds: Vec<(i64, i64)> = loaded.iter().filter_map(cut).collect();
        for (room, changed) in load_changed(db, &bounds, since).await? {
            if let Some(gap) = loaded.get_mut(&room) {
                gap.changed = changed;
            }
        }
    }
    Ok(loaded)
}

/// A room as it was when the requester left at `gap.upto`. For the few rooms of a request that asks for rooms left.
pub(crate) async fn load_left(db: &Db, room_id: &Arc<str>, gap: Gap) -> Result<LoadedLeft, StoreError> {
    let timelines = load_timelines(db, &[gap.room], gap.since, gap.upto, gap.limit).await?;
    let events = timelines.into_values().next().unwrap_or_default();
    let leave = matrixon_rooms::events::load_by_positions(db, &[gap.upto]).await?;
    let snapshot = leave.first().map_or(0, |leave| leave.state_after);
    let mut interner = Interner::default();
    let rows = state::load_snapshot(db, snapshot).await?;
    let state = RoomState::new(rows.into_iter().map(|row| interner.state_event(row, room_id)));
    Ok(LoadedLeft { complete: events.len() < gap.limit, events, state: Arc::new(state) })
}

/// What an invited user is told of each room: <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>
/// The user's own membership event comes last.
pub(crate) async fn load_stripped(
    db: &Db,
    rooms: &[i64],
    user_id: &str,
) -> Result<HashMap<i64, Vec<Bytes>>, StoreError> {
    let mut rows = sql!(
        db.read(), fetch_all as Row,
        pg: select!(
            "from (select value::bigint as room from json_array_elements_text($1::json)) l ",
            "join current_state c on c.room = l.room join events e on e.position = c.event ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = 0 ",
            "where (c.state_key = '' and c.event_type in ('m.room.create', 'm.room.join_rules', 'm.room.canonical_alias', ",
            "'m.room.name', 'm.room.avatar', 'm.room.topic', 'm.room.encryption')) ",
            "or (c.event_type = 'm.room.member' and c.state_key in (select $2 union all ",
            "select m.sender from memberships m where m.user_id = $2 and m.room = c.room))",
        ),
        lite: select!(
            "from json_each($1) l ",
            "join current_state c on c.room = l.value join events e on e.position = c.event ",
            "join rooms r on r.id = e.room left join events d on d.position = e.redacted_by left join events p on p.position = 0 ",
            "where (c.state_key = '' and c.event_type in ('m.room.create', 'm.room.join_rules', 'm.room.canonical_alias', ",
            "'m.room.name', 'm.room.avatar', 'm.room.topic', 'm.room.encryption')) ",
            "or (c.event_type = 'm.room.member' and c.state_key in (select $2 union all ",
            "select m.sender from memberships m where m.user_id = $2 and m.room = c.room))",
        ),
        json_list(rooms), user_id
    )?;
    let is_own = |row: &Row| row.is_membership_of(user_id);
    rows.sort_by_key(|row| (is_own(row), row.position));
    let mut interner = Interner::default();
    let mut stripped: HashMap<i64, Vec<Bytes>> = HashMap::new();
    for row in rows {
        stripped.entry(row.room).or_default().push(crate::response::stripped::strip(&interner.event(row)));
    }
    Ok(stripped)
}

fn by_room(rows: Vec<Row>) -> HashMap<i64, Vec<Arc<Event>>> {
    let mut interner = Interner::default();
    let mut rooms: HashMap<i64, Vec<Arc<Event>>> = HashMap::new();
    for row in rows {
        rooms.entry(row.room).or_default().push(interner.event(row));
    }
    rooms
}
