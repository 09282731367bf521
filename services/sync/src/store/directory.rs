//! Tables `directory_users`, `directory_tokens` and `directory_rooms`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

use super::json_list;

/// Greater than every character.
const END: char = '\u{10ffff}';

/// A part of the index: entries of a kind that begin like this, after the given one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) kind: i16,
    pub(crate) beginning: &'a str,
    pub(crate) after: (&'a str, &'a str),
    pub(crate) limit: i64,
}

/// `(entry, user)`, in order.
pub(crate) async fn list_entries(db: &Db, page: Page<'_>) -> Result<Vec<(String, String)>, StoreError> {
    sql!(
        db.read(),
        fetch_all as (String, String),
        "select token, user_id from directory_tokens
         where kind = $1 and token < $2 and (token, user_id) > ($3, $4) order by token, user_id limit $5",
        page.kind,
        format!("{}{END}", page.beginning),
        page.after.0,
        page.after.1,
        page.limit
    )
}

/// Those of these rooms that are open to the public, as far as the directory has heard.
pub(crate) async fn list_public(db: &Db, rooms: &[i64]) -> Result<Vec<i64>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (i64,),
        pg: "select room from directory_rooms where room = any(array(select value::bigint from json_array_elements_text($1::json)))",
        lite: "select room from directory_rooms where room in (select value from json_each($1))",
        json_list(rooms)
    )?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// How far back one looks for what a consumer has not come to: it may have years of history before it.
const MAX_RECENT_POSITIONS: i64 = 20_000;

/// Rooms whose join rules or history visibility changed after a consumer's cursor, of the newest such events. Types are
/// compared so that no index serves but that of positions.
pub(crate) async fn list_recent_rooms(db: &Db, consumer: &str, limit: i64) -> Result<Vec<i64>, StoreError> {
    let (passed, head) = sql!(
        db.read(),
        fetch_one as (i64, i64),
        "select (select coalesce(min(position), 0) from stream_cursors where consumer = $1),
                (select position from stream_positions where stream = 'events')",
        consumer
    )?;
    if passed >= head {
        return Ok(Vec::new());
    }
    let rows = sql!(
        db.read(),
        fetch_all as (i64,),
        "select room from events where position > $1
         and event_type || '' in ('m.room.join_rules', 'm.room.history_visibility') and state_key || '' = ''
         order by position desc limit $2",
        passed.max(head - MAX_RECENT_POSITIONS),
        limit
    )?;
    let mut rooms: Vec<i64> = rows.into_iter().map(|row| row.0).collect();
    rooms.sort_unstable();
    rooms.dedup();
    Ok(rooms)
}

/// A state event of which the directory takes note.
#[derive(Clone, Debug)]
pub(crate) struct StateRow {
    pub(crate) room: i64,
    pub(crate) event_type: String,
    pub(crate) state_key: String,
    pub(crate) membership: Option<String>,
    pub(crate) json: String,
}

from_row!(StateRow { room, event_type, state_key, membership, json });

/// Memberships, join rules and history visibilities of positions `after + 1 ..= upto`, at most a thousand.
pub(crate) async fn list_state(db: &Db, after: i64, upto: i64) -> Result<Vec<StateRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as StateRow,
        "select room, event_type, state_key, membership, json from events
         where position > $1 and position <= $2 and status = 0 and state_key is not null
           and event_type in ('m.room.member', 'm.room.join_rules', 'm.room.history_visibility')
         order by position limit 1000",
        after,
        upto
    )
}

pub(crate) async fn set_public(tx: &mut Tx, room: i64, is_public: bool) -> Result<(), StoreError> {
    if is_public {
        exec!(tx.ex(), "insert into directory_rooms (room) values ($1) on conflict do nothing", room)?;
    } else {
        exec!(tx.ex(), "delete from directory_rooms where room = $1", room)?;
    }
    Ok(())
}

/// A user's place in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryUser {
    pub(crate) user_id: String,
    pub(crate) displayname: Option<String>,
    pub(crate) avatar_url: Option<String>,
}

from_row!(DirectoryUser { user_id, displayname, avatar_url });

/// Those of these users who are in the directory.
pub(crate) async fn load_users(db: &Db, user_ids: &[&str]) -> Result<Vec<DirectoryUser>, StoreError> {
    sql!(
        db.read(), fetch_all as DirectoryUser,
        pg: "select user_id, displayname, avatar_url from directory_users
             where user_id = any(array(select json_array_elements_text($1::json)))",
        lite: "select user_id, displayname, avatar_url from directory_users
               where user_id in (select value from json_each($1))",
        json_list(user_ids)
    )
}

pub(crate) async fn delete_user(tx: &mut Tx, user_id: &str) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from directory_users where user_id = $1", user_id)?;
    exec!(tx.ex(), "delete from directory_tokens where user_id = $1", user_id)?;
    Ok(())
}

/// Over what is there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// What is there is as new or newer: another consumer wrote it.
    Keep,
    Replace,
}

/// `entries` are `(kind, entry)`, each once.
pub(crate) async fn put_user(
    tx: &mut Tx,
    user: &DirectoryUser,
    entries: &[(i16, &str)],
    known: Known,
) -> Result<(), StoreError> {
    let written = exec!(
        tx.ex(),
        "insert into directory_users (user_id, displayname, avatar_url) values ($1, $2, $3)
         on conflict (user_id) do update set displayname = excluded.displayname, avatar_url = excluded.avatar_url
         where $4",
        user.user_id.as_str(),
        user.displayname.as_deref(),
        user.avatar_url.as_deref(),
        known == Known::Replace
    )?;
    if written == 0 {
        return Ok(());
    }
    exec!(tx.ex(), "delete from directory_tokens where user_id = $1", user.user_id.as_str())?;
    exec!(
        tx.ex(),
        pg: "insert into directory_tokens (kind, token, user_id)
             select (e->>0)::smallint, e->>1, $1 from json_array_elements($2::json) as t (e) on conflict do nothing",
        lite: "insert into directory_tokens (kind, token, user_id)
               select json_extract(value, '$[0]'), json_extract(value, '$[1]'), $1 from json_each($2) where true
               on conflict do nothing",
        user.user_id.as_str(),
        json_list(entries)
    )?;
    Ok(())
}
