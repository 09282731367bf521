//! Tables `threepid_validations` and `threepid_tokens`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidationRow {
    pub sid: String,
    pub client_secret: String,
    pub purpose: String,
    pub medium: String,
    pub address: String,
    pub next_link: Option<String>,
    pub expires_ts: i64,
    pub validated_ts: Option<i64>,
    pub consumed_by: Option<String>,
}
from_row!(ValidationRow {
    sid,
    client_secret,
    purpose,
    medium,
    address,
    next_link,
    expires_ts,
    validated_ts,
    consumed_by
});

#[derive(Clone, Debug)]
pub(crate) struct NewValidation<'a> {
    pub sid: &'a str,
    pub client_secret: &'a str,
    pub purpose: &'a str,
    pub medium: &'a str,
    pub address: &'a str,
    pub send_attempt: i64,
    pub next_link: Option<&'a str>,
    pub now_ms: i64,
    pub expires_ts: i64,
}

/// The session id, and whether a mail is due: it is with a new session and with a greater attempt than before.
pub(crate) async fn upsert_validation(tx: &mut Tx, new: &NewValidation<'_>) -> Result<(String, bool), StoreError> {
    // what has ended makes way
    exec!(
        tx.ex(),
        "delete from threepid_validations where client_secret = $1 and purpose = $2 and medium = $3 and address = $4
             and (expires_ts <= $5 or consumed_by is not null)",
        new.client_secret,
        new.purpose,
        new.medium,
        new.address,
        new.now_ms
    )?;
    let due = sql!(
        tx.ex(),
        fetch_optional as (String,),
        "insert into threepid_validations
             (sid, client_secret, purpose, medium, address, send_attempt, next_link, created_ts, expires_ts)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (client_secret, purpose, medium, address) do update
             set send_attempt = excluded.send_attempt, next_link = excluded.next_link, expires_ts = excluded.expires_ts
             where threepid_validations.send_attempt < excluded.send_attempt
         returning sid",
        new.sid,
        new.client_secret,
        new.purpose,
        new.medium,
        new.address,
        new.send_attempt,
        new.next_link,
        new.now_ms,
        new.expires_ts
    )?;
    if let Some((sid,)) = due {
        return Ok((sid, true));
    }
    let (sid,) = sql!(
        tx.ex(),
        fetch_one as (String,),
        "select sid from threepid_validations
         where client_secret = $1 and purpose = $2 and medium = $3 and address = $4",
        new.client_secret,
        new.purpose,
        new.medium,
        new.address
    )?;
    Ok((sid, false))
}

pub(crate) async fn find_validation(db: &Db, sid: &str) -> Result<Option<ValidationRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ValidationRow,
        "select sid, client_secret, purpose, medium, address, next_link, expires_ts, validated_ts, consumed_by
         from threepid_validations where sid = $1",
        sid
    )
}

pub(crate) async fn find_by_token(db: &Db, token_sha256: &[u8]) -> Result<Option<ValidationRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ValidationRow,
        "select v.sid, v.client_secret, v.purpose, v.medium, v.address, v.next_link, v.expires_ts, v.validated_ts,
                v.consumed_by
         from threepid_tokens t join threepid_validations v on v.sid = t.sid where t.token_sha256 = $1",
        token_sha256
    )
}

pub(crate) async fn insert_token(db: &Db, token_sha256: &[u8], sid: &str) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into threepid_tokens (token_sha256, sid) select $1, sid from threepid_validations where sid = $2",
        token_sha256,
        sid
    )?;
    Ok(())
}

/// The first confirmation counts; false: there was one, or the time is over.
pub(crate) async fn set_validated(db: &Db, sid: &str, now_ms: i64, expires_ts: i64) -> Result<bool, StoreError> {
    let updated = exec!(
        db.write(),
        "update threepid_validations set validated_ts = $2, expires_ts = $3
         where sid = $1 and validated_ts is null and expires_ts > $2",
        sid,
        now_ms,
        expires_ts
    )?;
    Ok(updated > 0)
}

/// Takes a confirmed validation: of several that try, one gets it, again and again if its request is tried again.
pub(crate) async fn consume(
    tx: &mut Tx,
    (sid, client_secret, purpose): (&str, &str, &str),
    request: &str,
    now_ms: i64,
) -> Result<Option<ValidationRow>, StoreError> {
    sql!(
        tx.ex(),
        fetch_optional as ValidationRow,
        "update threepid_validations set consumed_by = $4
         where sid = $1 and client_secret = $2 and purpose = $3 and validated_ts is not null and expires_ts > $5
             and (consumed_by is null or consumed_by = $4)
         returning sid, client_secret, purpose, medium, address, next_link, expires_ts, validated_ts, consumed_by",
        sid,
        client_secret,
        purpose,
        request,
        now_ms
    )
}

/// At most `limit` rows, so that the statement stays short; how many there were.
pub(crate) async fn delete_expired(db: &Db, now_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from threepid_validations where sid in
             (select sid from threepid_validations where expires_ts <= $1 order by expires_ts limit $2)",
        now_ms,
        limit
    )
}
