//! Where users are and were.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use matrixon_rooms::Membership;
use matrixon_store::{Db, StoreError, sql};

use super::json_list;
use crate::live::user::{IGNORED_USERS, LoadedUser, Place};

/// A user's rooms (but for forgotten ones) and ignored users, with the positions as of which that is so.
pub(crate) async fn load_user(db: &Db, user_id: &str) -> Result<LoadedUser, StoreError> {
    type Joined = (i64, Option<i64>, Option<String>, Option<String>, Option<i64>);
    let rows = sql!(
        db.read(),
        fetch_all as Joined,
        "select s.position, m.room, r.room_id, m.membership, m.event
         from stream_positions s left join memberships m on m.user_id = $1 and not m.forgotten
         left join rooms r on r.id = m.room
         where s.stream = 'events'",
        user_id
    )?;
    let (account_data, ignored) = sql!(
        db.read(),
        fetch_one as (i64, Option<String>),
        "select s.position, a.content from stream_positions s
         left join account_data a on a.user_id = $1 and a.room_id = '' and a.data_type = $2
         where s.stream = 'account_data'",
        user_id,
        IGNORED_USERS
    )?;
    let events = rows.first().map_or(0, |row| row.0);
    let place = |row: Joined| {
        let (_, room, room_id, membership, position) = row;
        let membership = Membership::parse(&membership?);
        Some((Arc::from(room_id?), Place { room: room?, membership, position: position? }))
    };
    let rooms = rows.into_iter().filter_map(place).collect();
    Ok(LoadedUser { rooms, events, ignored: ignored.map(Into::into), account_data })
}

/// The user's memberships over time in each room, ascending.
pub(crate) async fn load_histories(
    db: &Db,
    rooms: &[i64],
    user_id: &str,
) -> Result<HashMap<i64, Vec<(i64, Membership)>>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (i64, i64, Option<String>),
        pg: "select e.room, e.position, e.membership
             from (select value::bigint as room from json_array_elements_text($1::json)) l join events e on e.room = l.room
             where e.event_type = 'm.room.member' and e.state_key = $2 and e.status = 0 order by e.position",
        lite: "select e.room, e.position, e.membership from json_each($1) l join events e on e.room = l.value
               where e.event_type = 'm.room.member' and e.state_key = $2 and e.status = 0 order by e.position",
        json_list(rooms), user_id
    )?;
    let mut histories: HashMap<i64, Vec<(i64, Membership)>> = HashMap::new();
    for (room, position, membership) in rows {
        let membership = Membership::parse(&membership.unwrap_or_default());
        histories.entry(room).or_default().push((position, membership));
    }
    Ok(histories)
}

pub(crate) async fn load_forgotten(db: &Db, user_id: &str) -> Result<HashSet<i64>, StoreError> {
    let rows =
        sql!(db.read(), fetch_all as (i64,), "select room from memberships where user_id = $1 and forgotten", user_id)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
