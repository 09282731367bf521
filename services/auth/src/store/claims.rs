//! Giving out one-time keys: tables `key_queues`, `queued_keys` and `key_grants`.
//!
//! # Why a claim neither gives a key twice nor misses one
//! The keys of a device and algorithm are numbered in the order of their upload, and their queue knows which number is given
//! out next. A claim takes that and the key; since claims take turns, in the whole cluster ([`take_turn`]), one that finds
//! nothing knows that there is nothing.
//!
//! What a claim was given is remembered for an hour in `key_grants`, one row, so that one that arrives twice (same idempotency
//! key) gets the same keys; the keys themselves are deleted with it. With PostgreSQL that row is all that a claim writes
//! ([`log`]); with SQLite it moves its queues too.

pub(crate) mod log;
mod queues;

pub(crate) use queues::{Key, Place, Queues, Range};

use matrixon_store::{Ex, StoreError, Tx, exec, from_row, sql};
use serde_json::value::RawValue;

use super::key_counts;

/// PostgreSQL advisory locks under which keys are given out ("mxotk"). One would do: earlier builds have one for each
/// half of the devices.
const CLAIMS: [i64; 2] = [0x6d_786f_746b, 0x6d_786f_746c];

/// Waits until no other transaction gives out keys, and keeps others from it until this one ends.
pub(crate) async fn take_turn(tx: &mut Tx) -> Result<(), StoreError> {
    // SQLite has one writer at a time
    if matches!(tx, Tx::Pg(_)) {
        exec!(tx.ex(), "select pg_advisory_xact_lock($1), pg_advisory_xact_lock($2)", CLAIMS[0], CLAIMS[1])?;
    }
    Ok(())
}

/// What one request wants: a key of an algorithm of each of these devices.
pub(crate) struct Claim {
    pub devices: Vec<i64>,
    pub algorithm: String,
    /// Its idempotency key.
    pub request: String,
}

/// The key that one device gave.
#[derive(Debug)]
pub(crate) struct Given {
    pub device: i64,
    pub key_id: String,
    pub json: String,
}
from_row!(Given { device, key_id, json });

/// What a claim is given.
pub(crate) struct Taken {
    pub keys: Vec<Given>,
    /// The first position of their devices in stream `key_counts`, where they follow each other. None: it was given them before.
    pub first: Option<i64>,
}

/// What each of these claims is given: in their order, the oldest key of each device that has one; with the same `request`,
/// what that was given before. After [`take_turn`]; [`Queues::commit`] follows when it is committed.
pub(crate) async fn claim_all(
    tx: &mut Tx,
    queues: &mut Queues,
    claims: &[Claim],
    now_ms: i64,
) -> Result<Vec<Taken>, StoreError> {
    let (new, mut position) = match tx.ex() {
        Ex::Pg(connection) => log::claim_new(connection, queues, claims, now_ms).await?,
        Ex::Sqlite(_) => claim_each(tx, claims, now_ms).await?,
    };
    let mut all = Vec::with_capacity(claims.len());
    for (claim, given) in claims.iter().zip(new) {
        all.push(match given {
            Some(keys) => {
                let first = position;
                position += keys.len() as i64;
                Taken { keys, first: Some(first) }
            }
            None => Taken { keys: find_granted(tx, claim).await?, first: None },
        });
    }
    Ok(all)
}

/// What claims are given that have not arrived before.
type New = Vec<Option<Vec<Given>>>;

async fn claim_each(tx: &mut Tx, claims: &[Claim], now_ms: i64) -> Result<(New, i64), StoreError> {
    let mut all = Vec::with_capacity(claims.len());
    for claim in claims {
        let given = claim_sqlite(tx, claim, now_ms).await?;
        // nothing is left, or it has arrived before
        all.push((!given.is_empty()).then_some(given));
    }
    let devices: Vec<i64> = all.iter().flatten().flatten().map(|given: &Given| given.device).collect();
    let first = if devices.is_empty() { 0 } else { key_counts::append(tx, &devices, now_ms).await? };
    Ok((all, first))
}

async fn claim_sqlite(tx: &mut Tx, claim: &Claim, now_ms: i64) -> Result<Vec<Given>, StoreError> {
    // as one row: each costs a change of threads
    let chosen = sql!(
        tx.ex(),
        fetch_one as (Option<String>, Option<String>, Option<String>),
        "select json_group_array(q.id), '[' || group_concat('[' || q.id || ',' || q.next || ']') || ']',
                '[' || group_concat('[' || q.device || ',' || json_quote(k.key_id) || ',' || k.json || ']') || ']'
         from json_each($1) w
         cross join key_queues q on q.device = w.value and q.algorithm = $2 and q.next < q.ends
         cross join queued_keys k on k.queue = q.id and k.number = q.next
         where not exists (select 1 from key_grants where request = $3 and algorithm = $2)",
        serde_json::Value::from(claim.devices.as_slice()).to_string(),
        claim.algorithm.as_str(),
        claim.request.as_str()
    )?;
    let (Some(queues), Some(granted), Some(given)) = chosen else { return Ok(Vec::new()) };
    exec!(tx.ex(), "update key_queues set next = next + 1 where id in (select value from json_each($1))", queues)?;
    exec!(
        tx.ex(),
        "insert into key_grants (request, algorithm, given, created_ts) values ($1, $2, $3, $4)",
        claim.request.as_str(),
        claim.algorithm.as_str(),
        granted,
        now_ms
    )?;
    let rows: Vec<(i64, String, &RawValue)> =
        serde_json::from_str(&given).map_err(|error| StoreError::inconsistent("queued_keys", error))?;
    let given = rows.into_iter().map(|(device, key_id, json)| Given { device, key_id, json: json.get().to_owned() });
    Ok(given.collect())
}

/// What a request was given before.
async fn find_granted(tx: &mut Tx, claim: &Claim) -> Result<Vec<Given>, StoreError> {
    sql!(
        tx.ex(), fetch_all as Given,
        pg: "select q.device, k.key_id, k.json
             from key_grants g cross join json_array_elements(g.given::json) w
             join key_queues q on q.id = (w ->> 0)::bigint
             join queued_keys k on k.queue = q.id and k.number = (w ->> 1)::bigint
             where g.request = $1 and g.algorithm = $2",
        lite: "select q.device, k.key_id, k.json
               from key_grants g cross join json_each(g.given) w
               cross join key_queues q on q.id = w.value ->> 0
               cross join queued_keys k on k.queue = q.id and k.number = w.value ->> 1
               where g.request = $1 and g.algorithm = $2",
        claim.request.as_str(), claim.algorithm.as_str()
    )
}
