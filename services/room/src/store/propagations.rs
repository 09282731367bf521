//! Table `profile_propagations`: users whose rooms have yet to hear of their new name or avatar.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

/// A user whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Propagation {
    pub(crate) user_id: String,
    pub(crate) position: i64,
    /// Rooms up to this one have heard of it.
    pub(crate) next_room: i64,
}

from_row!(Propagation { user_id, position, next_room });

/// `(user, position)`: a newer change starts again from the first room.
pub(crate) async fn enqueue(tx: &mut Tx, changes: &[(&str, i64)]) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into profile_propagations (user_id, position)
             select r->>0, (r->>1)::bigint from json_array_elements($1::json) as t (r)
             on conflict (user_id) do update set position = excluded.position, next_room = 0
             where profile_propagations.position < excluded.position",
        lite: "insert into profile_propagations (user_id, position)
               select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each($1) where true
               on conflict (user_id) do update set position = excluded.position, next_room = 0
               where profile_propagations.position < excluded.position",
        serde_json::json!(changes).to_string()
    )?;
    Ok(())
}

pub(crate) async fn is_empty(db: &Db) -> Result<bool, StoreError> {
    let row = sql!(db.read(), fetch_optional as (String,), "select user_id from profile_propagations limit 1")?;
    Ok(row.is_none())
}

/// Who works on it, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease<'a> {
    pub(crate) owner: &'a str,
    pub(crate) now_ms: i64,
    pub(crate) until_ms: i64,
}

/// Takes the user who waits longest among those whom nobody works on.
pub(crate) async fn claim(db: &Db, lease: Lease<'_>) -> Result<Option<Propagation>, StoreError> {
    sql!(
        db.write(), fetch_optional as Propagation,
        pg: "update profile_propagations set lease = $1, lease_until = $3 where user_id = (
                 select user_id from profile_propagations where lease_until <= $2
                 order by served_ts, user_id limit 1 for update skip locked)
             returning user_id, position, next_room",
        lite: "update profile_propagations set lease = $1, lease_until = $3 where user_id = (
                   select user_id from profile_propagations where lease_until <= $2 order by served_ts, user_id limit 1)
               returning user_id, position, next_room",
        lease.owner, lease.now_ms, lease.until_ms
    )
}

/// Notes how far the rooms have heard and lets others go first. False: the lease was lost, or there is a newer change.
pub(crate) async fn progress(db: &Db, lease: Lease<'_>, done: &Propagation) -> Result<bool, StoreError> {
    let touched = exec!(
        db.write(),
        "update profile_propagations set next_room = $4, served_ts = $5, lease = '', lease_until = 0
         where user_id = $1 and position = $2 and lease = $3",
        done.user_id.as_str(),
        done.position,
        lease.owner,
        done.next_room,
        lease.now_ms
    )?;
    Ok(touched > 0)
}

/// All rooms have heard of it. False: the lease was lost, or there is a newer change.
pub(crate) async fn finish(db: &Db, lease: Lease<'_>, done: &Propagation) -> Result<bool, StoreError> {
    let touched = exec!(
        db.write(),
        "delete from profile_propagations where user_id = $1 and position = $2 and lease = $3",
        done.user_id.as_str(),
        done.position,
        lease.owner
    )?;
    Ok(touched > 0)
}

/// Begins again from the first room: a newer change came, or somebody else took over and what this process wrote last
/// may be older than what that one wrote.
pub(crate) async fn restart(db: &Db, lease: Lease<'_>, done: &Propagation) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into profile_propagations (user_id, position, served_ts) values ($1, $2, $3)
         on conflict (user_id) do update set next_room = 0, served_ts = excluded.served_ts,
             lease = case when profile_propagations.lease = $4 then '' else profile_propagations.lease end,
             lease_until = case when profile_propagations.lease = $4 then 0 else profile_propagations.lease_until end",
        done.user_id.as_str(),
        done.position,
        lease.now_ms,
        lease.owner
    )?;
    Ok(())
}
