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
