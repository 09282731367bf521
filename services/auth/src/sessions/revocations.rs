//! The `revocations` stream: every end of a session, in the transaction that ends it, so that gateways may cache
//! tokens.

use bytes::Bytes;
use matrixon_proto::bus::v1::{Bell, RevocationItem};
use matrixon_store::{StoreError, Tx, streams::Stream};
use prost::Message as _;
use ruma::UserId;

use crate::{
    error::AuthError,
    state::Auth,
    store::revocations::{self, RevocationRow},
};

/// More than this many revocations of one user become one of the whole user.
const MAX_SINGLE: usize = 50;

/// How long revocations are kept: a gateway that slept longer forgets everything it cached.
const KEEP_MS: i64 = 24 * 3_600 * 1_000;
/// How many rows one statement deletes.
const PRUNE_BATCH: i64 = 1_000;

/// Something that gateways must forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    user_id: String,
    device_id: String,
    token_sha256: Vec<u8>,
}

impl Revocation {
    pub(crate) fn user(user_id: &UserId) -> Self {
        Self::device(user_id, "")
    }

    pub(crate) fn device(user_id: &UserId, device_id: &str) -> Self {
        Self { user_id: user_id.to_string(), device_id: device_id.to_owned(), token_sha256: Vec::new() }
    }

    pub(crate) fn token(user_id: &str, device_id: &str, token_sha256: Vec<u8>) -> Self {
        Self { user_id: user_id.to_owned(), device_id: device_id.to_owned(), token_sha256 }
    }

    /// One for each device, or one for the whole user where that would be many. Nothing for no device.
    pub(crate) fn devices(user_id: &UserId, device_ids: &[String]) -> Vec<Self> {
        if device_ids.len() > MAX_SINGLE {
            return vec![Self::user(user_id)];
        }
        device_ids.iter().map(|device_id| Self::device(user_id, device_id)).collect()
    }
}

/// Ends a transaction: appends to the stream as its last step, commits, and only then rings the bell.
pub(crate) async fn commit(auth: &Auth, mut tx: Tx, revoked: Vec<Revocation>) -> Result<(), AuthError> {
    if revoked.is_empty() {
        return Ok(tx.commit().await?);
    }
    let now_ms = auth.clock.now_ms();
    let first = tx.advance(Stream::REVOCATIONS, revoked.len()).await?;
    let rows: Vec<RevocationRow> = (first..)
        .zip(revoked)
        .map(|(position, revocation)| RevocationRow {
            position,
            user_id: revocation.user_id,
            device_id: revocation.device_id,
            token_sha256: revocation.token_sha256,
        })
        .collect();
    for row in &rows {
        revocations::insert_revocation(&mut tx, row, now_ms).await?;
    }
    tx.commit().await?;
    auth.bus.publish(&Stream::REVOCATIONS.subject(), build_bell(first, rows));
    Ok(())
}

fn build_bell(first: i64, rows: Vec<RevocationRow>) -> Bytes {
    let last = first + rows.len() as i64 - 1;
    let items = rows.into_iter().map(|row| {
        let item = RevocationItem {
            position: row.position,
            user_id: row.user_id,
            device_id: row.device_id,
            token_sha256: row.token_sha256.into(),
        };
        item.encode_to_vec().into()
    });
    let stream = Stream::REVOCATIONS.name().to_owned();
    Bell { stream, first, last, items: items.collect() }.encode_to_vec().into()
}

/// Deletes what is older than a day, a batch at a time. Any replica may do it, several at once too.
pub(crate) async fn prune(auth: &Auth) -> Result<u64, StoreError> {
    let cutoff_ms = auth.clock.now_ms() - KEEP_MS;
    let mut total = 0;
    loop {
        let deleted = revocations::prune_revocations(&auth.db, cutoff_ms, PRUNE_BATCH).await?;
        total += deleted;
        if deleted < PRUNE_BATCH as u64 {
            return Ok(total);
        }
    }
}
