//! Table `backup_keys`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

use super::backup_versions::VersionRow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub room_id: String,
    pub session_id: String,
    pub first_message_index: i64,
    pub forwarded_count: i64,
    pub is_verified: bool,
    /// JSON
    pub session_data: String,
}
from_row!(KeyRow { room_id, session_id, first_message_index, forwarded_count, is_verified, session_data });

/// Which keys of a version: all, those of a room, or one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub room_id: Option<&'a str>,
    pub session_id: Option<&'a str>,
}

/// Adds the keys (JSON: an array of [`KeyRow`]s) that are not there. How many those were.
pub(crate) async fn insert_new(tx: &mut Tx, version: &VersionRow, keys: &str) -> Result<u64, StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into backup_keys (account, version, room_id, session_id, first_message_index, forwarded_count,
                                      is_verified, session_data)
             select $1, $2, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
             from json_to_recordset($3::json) as k (room_id text, session_id text, first_message_index bigint,
                 forwarded_count bigint, is_verified boolean, session_data text)
             on conflict (account, version, room_id, session_id) do nothing",
        lite: "insert into backup_keys (account, version, room_id, session_id, first_message_index, forwarded_count,
                                        is_verified, session_data)
               select $1, $2, value ->> '$.room_id', value ->> '$.session_id', value ->> '$.first_message_index',
                      value ->> '$.forwarded_count', value ->> '$.is_verified', value ->> '$.session_data'
               from json_each($3) where true on conflict (account, version, room_id, session_id) do nothing",
        version.account, version.version, keys
    )
}

/// Replaces the keys that are worse than those given: a verified copy beats one that is not, then the lower first message
/// index, then the lower forwarded count (<https://spec.matrix.org/v1.19/client-server-api/#backup-algorithm-mmegolm_backupv1curve25519-aes-sha2>).
/// How many those were.
pub(crate) async fn replace_worse(tx: &mut Tx, version: &VersionRow, keys: &str) -> Result<u64, StoreError> {
    // an `insert`, though all of them are there: an `update … from` might go through the backup once for every key
    exec!(
        tx.ex(),
        pg: "insert into backup_keys as b (account, version, room_id, session_id, first_message_index, forwarded_count,
                                           is_verified, session_data)
             select $1, $2, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data
             from json_to_recordset($3::json) as k (room_id text, session_id text, first_message_index bigint,
                 forwarded_count bigint, is_verified boolean, session_data text)
             on conflict (account, version, room_id, session_id) do update set
                 first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
                 is_verified = excluded.is_verified, session_data = excluded.session_data
             where (not excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
                 < (not b.is_verified, b.first_message_index, b.forwarded_count)",
        lite: "insert into backup_keys as b (account, version, room_id, session_id, first_message_index, forwarded_count,
                                             is_verified, session_data)
               select $1, $2, value ->> '$.room_id', value ->> '$.session_id', value ->> '$.first_message_index',
                      value ->> '$.forwarded_count', value ->> '$.is_verified', value ->> '$.session_data'
               from json_each($3) where true on conflict (account, version, room_id, session_id) do update set
                   first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
                   is_verified = excluded.is_verified, session_data = excluded.session_data
               where (not excluded.is_verified, excluded.first_message_index, excluded.forwarded_count)
                   < (not b.is_verified, b.first_message_index, b.forwarded_count)",
        version.account, version.version, keys
    )
}

/// At most `limit` keys after the given place, by room and session.
pub(crate) async fn list(
    db: &Db,
    version: &VersionRow,
    selection: Selection<'_>,
    (after_room, after_session): (&str, &str),
    limit: i64,
) -> Result<Vec<KeyRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as KeyRow,
        "select room_id, session_id, first_message_index, forwarded_count, is_verified, session_data from backup_keys
         where account = $1 and version = $2 and (room_id, session_id) > ($3, $4)
             and ($5 is null or room_id = $5) and ($6 is null or session_id = $6)
         order by room_id, session_id limit $7",
        version.account,
        version.version,
        after_room,
        after_session,
        selection.room_id,
        selection.session_id,
        limit
    )
}

pub(crate) async fn find(
    db: &Db,
    version: &VersionRow,
    room_id: &str,
    session_id: &str,
) -> Result<Option<KeyRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as KeyRow,
        "select room_id, session_id, first_message_index, forwarded_count, is_verified, session_data from backup_keys
         where account = $1 and version = $2 and room_id = $3 and session_id = $4",
        version.account,
        version.version,
        room_id,
        session_id
    )
}

/// Deletes at most `limit` keys.
pub(crate) async fn delete(
    tx: &mut Tx,
    version: &VersionRow,
    selection: Selection<'_>,
    limit: i64,
) -> Result<u64, StoreError> {
    exec!(
        tx.ex(),
        // by the rows' places: a semi-join of thousands with thousands is what the planner would make of `in`
        pg: "delete from backup_keys where ctid = any(array(
                 select ctid from backup_keys
                 where account = $1 and version = $2 and ($3 is null or room_id = $3) and ($4 is null or session_id = $4)
                 order by room_id, session_id limit $5))",
        lite: "delete from backup_keys where rowid in (
                   select rowid from backup_keys
                   where account = $1 and version = $2 and ($3 is null or room_id = $3) and ($4 is null or session_id = $4)
                   order by room_id, session_id limit $5)",
        version.account,
        version.version,
        selection.room_id,
        selection.session_id,
        limit
    )
}
