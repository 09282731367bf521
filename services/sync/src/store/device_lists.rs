//! Stream `device_lists`, and from when to when two users shared a room.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use matrixon_accounts::device_lists;
use matrixon_rooms::Membership;
use matrixon_store::{Db, StoreError, sql};

use super::json_list;
use crate::live::items::DeviceListChange;

/// The stream in (after, upto], ascending. Positions that a later one of the same user supersedes may be absent.
pub(crate) async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<DeviceListChange>, StoreError> {
    let rows = device_lists::list_changes(db, after, upto, upto - after).await?;
    let change = |row: device_lists::DeviceListRow| DeviceListChange {
        position: row.position,
        user_id: row.user_id.into(),
        visible_to: row.visible_to.into(),
    };
    Ok(rows.into_iter().map(change).collect())
}

/// Users whose devices changed in (after, upto] and who share a room with the viewer now; the viewer too.
pub(crate) async fn list_changed(db: &Db, viewer: &str, after: i64, upto: i64) -> Result<BTreeSet<String>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (String,),
        "select distinct c.user_id from device_list_changes c
         where c.position > $2 and c.position <= $3 and c.visible_to in ('', $1)
           and (c.user_id = $1 or exists (
               select 1 from memberships o join memberships v on v.room = o.room and v.user_id = $1
               where o.user_id = c.user_id and o.membership = 'join' and v.membership = 'join'))",
        viewer,
        after,
        upto
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// One of the viewer's rooms: were they in it at the beginning and at the end of a time?
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRoom {
    pub(crate) room: i64,
    pub(crate) before: bool,
    pub(crate) after: bool,
}

/// The user's membership in `$room` as it was at a position; for members whose last event came after it.
macro_rules! membership_at {
    ($member:literal, $position:literal) => {
        concat!(
            "case when ",
            $member,
            ".event <= ",
            $position,
            " then ",
            $member,
            ".membership else (
                 select e.membership from events e where e.room = ",
            $member,
            ".room and e.event_type = 'm.room.member'
                     and e.state_key = ",
            $member,
            ".user_id and e.status = 0 and e.position <= ",
            $position,
            "
                 order by e.position desc limit 1) end"
        )
    };
}

fn is_in(word: Option<&str>) -> bool {
    word.is_some_and(|word| Membership::parse(word) == Membership::Join)
}

/// Rooms that the viewer was in at `from` or at `to`, positions in `events`.
pub(crate) async fn list_own_rooms(db: &Db, viewer: &str, from: i64, to: i64) -> Result<Vec<OwnRoom>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (i64, Option<String>, Option<String>),
        concat!(
            "select m.room, ",
            membership_at!("m", "$2"),
            ", ",
            membership_at!("m", "$3"),
            "
             from memberships m where m.user_id = $1 and (m.membership = 'join' or m.event > $2)"
        ),
        viewer,
        from,
        to
    )?;
    let own = |(room, before, after): (i64, Option<String>, Option<String>)| OwnRoom {
        room,
        before: is_in(before.as_deref()),
        after: is_in(after.as_deref()),
    };
    Ok(rows.into_iter().map(own).filter(|room| room.before || room.after).collect())
}

/// Users whose place changed after a position in some of the rooms, and everybody who is or then was in others.
pub(crate) async fn list_candidates(
    db: &Db,
    viewer: &str,
    (steady, whole): (&[i64], &[i64]),
    from: i64,
) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select m.user_id from json_array_elements_text($1::json) l join memberships m on m.room = l.value::bigint
             where m.event > $3 and m.user_id <> $4
             union
             select m.user_id from json_array_elements_text($2::json) l join memberships m on m.room = l.value::bigint
             where (m.membership = 'join' or m.event > $3) and m.user_id <> $4",
        lite: "select m.user_id from json_each($1) l join memberships m on m.room = l.value
               where m.event > $3 and m.user_id <> $4
               union
               select m.user_id from json_each($2) l join memberships m on m.room = l.value
               where (m.membership = 'join' or m.event > $3) and m.user_id <> $4",
        json_list(steady), json_list(whole), from, viewer
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// For each of the users: did they share one of the rooms with the viewer at `from`, and at `to`?
pub(crate) async fn load_sharing(
    db: &Db,
    users: &[String],
    rooms: &[OwnRoom],
    (from, to): (i64, i64),
) -> Result<BTreeMap<String, (bool, bool)>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (String, i64, Option<String>, Option<String>),
        pg: concat!(
            "select m.user_id, m.room, ", membership_at!("m", "$2"), ", ", membership_at!("m", "$3"), "
             from json_array_elements_text($1::json) u join memberships m on m.user_id = u.value
             where m.membership = 'join' or m.event > $2"
        ),
        lite: concat!(
            "select m.user_id, m.room, ", membership_at!("m", "$2"), ", ", membership_at!("m", "$3"), "
             from json_each($1) u join memberships m on m.user_id = u.value
             where m.membership = 'join' or m.event > $2"
        ),
        json_list(users), from, to
    )?;
    let own: HashMap<i64, OwnRoom> = rooms.iter().map(|room| (room.room, *room)).collect();
    let mut sharing: BTreeMap<String, (bool, bool)> = users.iter().map(|user| (user.clone(), (false, false))).collect();
    for (user_id, room, before, after) in rows {
        let (Some(own), Some(shared)) = (own.get(&room), sharing.get_mut(&user_id)) else { continue };
        shared.0 |= own.before && is_in(before.as_deref());
        shared.1 |= own.after && is_in(after.as_deref());
    }
    Ok(sharing)
}

/// Members of those of the rooms that became encrypted in (from, to].
pub(crate) async fn list_in_newly_encrypted(
    db: &Db,
    rooms: &[i64],
    (from, to): (i64, i64),
) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select distinct m.user_id from json_array_elements_text($1::json) l
             join events e on e.room = l.value::bigint and e.event_type = 'm.room.encryption' and e.state_key = ''
                 and e.position > $2 and e.position <= $3 and e.status = 0 and e.replaces is null
             join memberships m on m.room = e.room and m.membership = 'join'",
        lite: "select distinct m.user_id from json_each($1) l
               join events e on e.room = l.value and e.event_type = 'm.room.encryption' and e.state_key = ''
                   and e.position > $2 and e.position <= $3 and e.status = 0 and e.replaces is null
               join memberships m on m.room = e.room and m.membership = 'join'",
        json_list(rooms), from, to
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}
