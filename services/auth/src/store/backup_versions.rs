//! Table `backup_versions`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub account: i64,
    pub version: i64,
    pub algorithm: String,
    /// JSON
    pub auth_data: String,
    pub etag: i64,
    pub count: i64,
}
from_row!(VersionRow { account, version, algorithm, auth_data, etag, count });

/// A version that is there; of several the newest is the current one.
pub(crate) async fn find(db: &Db, user_id: &str, version: i64) -> Result<Option<VersionRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as VersionRow,
        "select v.account, v.version, v.algorithm, v.auth_data, v.etag, v.count
         from users u join backup_versions v on v.account = u.id
         where u.user_id = $1 and v.version = $2 and not v.deleted",
        user_id,
        version
    )
}

pub(crate) async fn find_current(db: &Db, user_id: &str) -> Result<Option<VersionRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as VersionRow,
        "select v.account, v.version, v.algorithm, v.auth_data, v.etag, v.count
         from users u join backup_versions v on v.account = u.id
         where u.user_id = $1 and not v.deleted order by v.version desc limit 1",
        user_id
    )
}

/// Locks a version for the transaction, to change it or its keys.
pub(crate) async fn lock(tx: &mut Tx, account: i64, version: i64) -> Result<Option<VersionRow>, StoreError> {
    sql!(
        tx.ex(), fetch_optional as VersionRow,
        pg: "select account, version, algorithm, auth_data, etag, count from backup_versions
             where account = $1 and version = $2 and not deleted for update",
        lite: "select account, version, algorithm, auth_data, etag, count from backup_versions
               where account = $1 and version = $2 and not deleted",
        account, version
    )
}

/// The number of the newest version, of those that are there and of all that ever were.
pub(crate) async fn newest(tx: &mut Tx, account: i64) -> Result<(Option<i64>, i64), StoreError> {
    sql!(
        tx.ex(),
        fetch_one as (Option<i64>, i64),
        "select max(case when deleted then null else version end), coalesce(max(version), 0)
         from backup_versions where account = $1",
        account
    )
}

/// The version that this very request, in an earlier attempt, made.
pub(crate) async fn find_created_by(tx: &mut Tx, account: i64, request: &str) -> Result<Option<i64>, StoreError> {
    let found = sql!(
        tx.ex(),
        fetch_optional as (i64,),
        "select version from backup_versions where account = $1 and created_by_request = $2",
        account,
        request
    )?;
    Ok(found.map(|(version,)| version))
}

/// (algorithm, `auth_data`) of a new version.
pub(crate) async fn insert(
    tx: &mut Tx,
    (account, version): (i64, i64),
    (algorithm, auth_data): (&str, &str),
    request: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into backup_versions (account, version, algorithm, auth_data, created_by_request, created_ts)
         values ($1, $2, $3, $4, $5, $6)",
        account,
        version,
        algorithm,
        auth_data,
        request,
        now_ms
    )?;
    Ok(())
}

pub(crate) async fn update_auth_data(tx: &mut Tx, row: &VersionRow, auth_data: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "update backup_versions set auth_data = $3 where account = $1 and version = $2",
        row.account,
        row.version,
        auth_data
    )?;
    Ok(())
}

/// The keys have changed, and are so many more or fewer. Returns (etag, count).
pub(crate) async fn touch(tx: &mut Tx, row: &VersionRow, more: i64) -> Result<(i64, i64), StoreError> {
    sql!(
        tx.ex(),
        fetch_one as (i64, i64),
        "update backup_versions set etag = etag + 1, count = count + $3 where account = $1 and version = $2
         returning etag, count",
        row.account,
        row.version,
        more
    )
}

pub(crate) async fn mark_deleted(tx: &mut Tx, account: i64, version: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "update backup_versions set deleted = true, auth_data = '{}', count = 0 where account = $1 and version = $2",
        account,
        version
    )?;
    Ok(())
}

/// Deletes at most `limit` keys of deleted versions, then those versions that have none left and are not the newest:
/// its number must not be used again.
pub(crate) async fn prune_deleted(db: &Db, limit: i64) -> Result<u64, StoreError> {
    let keys = exec!(
        db.write(),
        pg: "delete from backup_keys where ctid = any(array(
                 select k.ctid from backup_versions v
                 join backup_keys k on k.account = v.account and k.version = v.version where v.deleted limit $1))",
        lite: "delete from backup_keys where rowid in (
                   select k.rowid from backup_versions v
                   join backup_keys k on k.account = v.account and k.version = v.version where v.deleted limit $1)",
        limit
    )?;
    let versions = exec!(
        db.write(),
        "delete from backup_versions where (account, version) in (
             select v.account, v.version from backup_versions v where v.deleted
                 and exists (select 1 from backup_versions n where n.account = v.account and n.version > v.version)
                 and not exists (select 1 from backup_keys k where k.account = v.account and k.version = v.version)
             limit $1)",
        limit
    )?;
    Ok(keys.max(versions))
}
