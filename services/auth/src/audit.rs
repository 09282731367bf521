//! The audit log: what was done in administration, by whom, to whom, when, from where, and with what result.
//!
//! A record of an action is written in the action's transaction: there is none without the other. What other processes do
//! or refuse they have recorded with [`record`]. Records of all replicas form one chain, for whoever appends holds the lock
//! of the head's row until COMMIT. Lock order: account rows, devices, the head, stream counters.

pub mod chain;

use std::{borrow::Cow, net::IpAddr};

use matrixon_http::{MatrixError, RequestMeta};
use matrixon_proto::admin::v1::AuditRecord;
use matrixon_store::{StoreError, Tx};
use serde_json::{Map, Value};

use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::audit::{self, AuditRow, Latest},
};

/// Longer texts are cut, so that a record stays a record.
const MAX_CHARS: usize = 255;
/// Longer keys than this would not fit an index.
const MAX_KEY_BYTES: usize = 255;
/// The result of what was asked for by somebody who may not administer.
const DENIED: &str = "denied";
/// How often in this time that is recorded of one account: whoever has one must not be able to fill the database.
const MAX_DENIED: i64 = 20;
const DENIED_WITHIN_MS: i64 = 3_600_000;

/// The door that an administrative action came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Grpc,
    Rest,
    /// An endpoint of the client-server API.
    Client,
    /// The command line, on the database itself.
    Cli,
}

impl Via {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Grpc, Self::Rest, Self::Client, Self::Cli].into_iter().find(|via| via.as_str() == text)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
            Self::Client => "client",
            Self::Cli => "cli",
        }
    }
}

/// Who administers, and by which request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// A user id, or what stands for a machine.
    pub actor: String,
    pub via: Via,
    pub remote: Option<IpAddr>,
    pub request_id: String,
    /// The same for every attempt at one action.
    pub key: Option<String>,
}

impl Caller {
    pub(crate) fn new(actor: impl Into<String>, via: Via, meta: &RequestMeta) -> Self {
        let key = Some(&meta.idempotency_key).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
        Self {
            actor: actor.into(),
            via,
            remote: meta.remote_addr,
            request_id: meta.request_id.clone(),
            key: key.cloned(),
        }
    }
}

/// What is done, and to whom. No secrets in the details.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub action: Cow<'static, str>,
    pub target: String,
    pub details: Map<String, Value>,
}

impl Entry {
    pub(crate) fn new(action: impl Into<Cow<'static, str>>, target: impl Into<String>) -> Self {
        Self { action: action.into(), target: target.into(), details: Map::new() }
    }

    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// What becomes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// An earlier attempt at the same request did it already; nothing was changed now.
    DoneBefore,
}

/// Did an earlier attempt at this request do this already? `M_INVALID_PARAM` ← it did something else
pub(crate) async fn is_done(tx: &mut Tx, caller: &Caller, entry: &Entry) -> Result<bool, AuthError> {
    Ok(find_done(tx, caller, entry).await?.is_some())
}

/// The details of what an earlier attempt at this request did. `M_INVALID_PARAM` ← it did something else
pub(crate) async fn find_done(tx: &mut Tx, caller: &Caller, entry: &Entry) -> Result<Option<String>, AuthError> {
    let Some(key) = &caller.key else { return Ok(None) };
    let Some((action, target, details)) = audit::find_by_request(tx, key).await? else { return Ok(None) };
    if (action, target) == (plain(&entry.action), plain(&entry.target)) {
        return Ok(Some(details));
    }
    Err(AuthError::InvalidParam("this idempotency key belongs to another request".to_owned()))
}

/// Ends the transaction of an action: its record, what it appends to the streams, COMMIT, and only then the bells.
pub(crate) async fn commit(
    auth: &Auth,
    mut tx: Tx,
    (caller, entry): (&Caller, &Entry),
    outbox: Outbox,
) -> Result<Outcome, AuthError> {
    let head = audit::lock_head(&mut tx).await?;
    // again, now that another attempt that was under way has ended
    if is_done(&mut tx, caller, entry).await? {
        tx.rollback().await?;
        return Ok(Outcome::DoneBefore);
    }
    let row = build_row(head, auth.clock.now_ms(), (caller, entry), "ok")?;
    audit::insert_record(&mut tx, &row, caller.key.as_deref()).await?;
    outbox::commit(auth, tx, outbox).await?;
    tracing::info!(actor = row.actor, action = row.action, target = row.target, seq = row.seq, "administrative action");
    Ok(Outcome::Done)
}

/// Records that an action was refused. What the log cannot take is said in the process's own log.
pub(crate) async fn refused(auth: &Auth, (caller, entry): (&Caller, &Entry), error: AuthError) -> MatrixError {
    let error = MatrixError::from(error);
    if let Err(problem) = append_refusal(auth, (caller, entry), &error.errcode).await {
        warn_unrecorded((caller, entry), &problem);
    }
    error
}

/// Records that somebody asked for an action who may not administer.
pub(crate) async fn denied(auth: &Auth, (caller, entry): (&Caller, Entry), error: AuthError) -> MatrixError {
    let error = MatrixError::from(error);
    let entry = entry.with("errcode", error.errcode.as_str());
    if let Err(problem) = record(auth, (caller, &entry), DENIED).await {
        warn_unrecorded((caller, &entry), &problem);
    }
    error
}

fn warn_unrecorded((caller, entry): (&Caller, &Entry), error: &impl std::fmt::Display) {
    let (actor, action) = (caller.actor.as_str(), &*entry.action);
    tracing::warn!(%error, actor, action, "a refused administrative action is not in the audit log");
}

/// Records what was done or refused elsewhere; a repeated call is recorded once. Of what is denied to an account only so much
/// is recorded. `M_INVALID_PARAM` ← the idempotency key belongs to another record
pub(crate) async fn record(auth: &Auth, (caller, entry): (&Caller, &Entry), result: &str) -> Result<(), AuthError> {
    let now_ms = auth.clock.now_ms();
    let actor = plain(&caller.actor);
    let denied = (result == DENIED).then(|| Latest {
        actor: &actor,
        limit: MAX_DENIED,
        result: DENIED,
        after_ts: now_ms - DENIED_WITHIN_MS,
    });
    // before there is a lock, or SQLite's only writer: a flood must hold nobody up
    if let Some(denied) = &denied
        && audit::count_latest(&auth.db, denied).await? >= MAX_DENIED
    {
        return Ok(());
    }
    let mut tx = auth.db.begin().await?;
    let head = audit::lock_head(&mut tx).await?;
    // again, now that those who were under way have ended
    let is_surplus = match &denied {
        Some(denied) => audit::count_latest_in(&mut tx, denied).await? >= MAX_DENIED,
        None => false,
    };
    if is_surplus || is_done(&mut tx, caller, entry).await? {
        return Ok(tx.rollback().await?);
    }
    let row = build_row(head, now_ms, (caller, entry), result)?;
    audit::insert_record(&mut tx, &row, caller.key.as_deref()).await?;
    tx.commit().await?;
    let AuditRow { action, target, seq, .. } = &row;
    tracing::info!(actor, action, target, result, seq, "administrative action");
    Ok(())
}

async fn append_refusal(auth: &Auth, record: (&Caller, &Entry), errcode: &str) -> Result<(), StoreError> {
    let mut tx = auth.db.begin().await?;
    let head = audit::lock_head(&mut tx).await?;
    let row = build_row(head, auth.clock.now_ms(), record, errcode)?;
    audit::insert_record(&mut tx, &row, None).await?;
    tx.commit().await
}

fn build_row(
    (seq, prev_hash): (i64, Vec<u8>),
    now_ms: i64,
    (caller, entry): (&Caller, &Entry),
    result: &str,
) -> Result<AuditRow, StoreError> {
    let mut row = AuditRow {
        seq: seq + 1,
        ts: now_ms,
        actor: plain(&caller.actor),
        via: caller.via.as_str().to_owned(),
        action: plain(&entry.action),
        target: plain(&entry.target),
        remote: caller.remote.map(|remote| remote.to_string()).unwrap_or_default(),
        result: plain(result),
        request_id: plain(&caller.request_id),
        details: Value::Object(entry.details.clone()).to_string(),
        prev_hash,
        hash: Vec::new(),
    };
    let hash = chain::hash(&to_message(&row)).map_err(|problem| StoreError::inconsistent("audit_head", problem))?;
    row.hash = hash.to_vec();
    Ok(row)
}

/// As it can be stored on either database.
fn plain(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(MAX_CHARS).collect()
}

pub(crate) fn to_message(row: &AuditRow) -> AuditRecord {
    AuditRecord {
        seq: row.seq,
        ts: row.ts,
        actor: row.actor.clone(),
        via: row.via.clone(),
        action: row.action.clone(),
        target: row.target.clone(),
        remote: row.remote.clone(),
        result: row.result.clone(),
        request_id: row.request_id.clone(),
        details: row.details.clone(),
        prev_hash: chain::to_hex(&row.prev_hash),
        hash: chain::to_hex(&row.hash),
    }
}
