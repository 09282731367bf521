//! What a transaction appends to the streams of this service: collected while it changes tables, written as its last
//! step, rung after its commit.

use bytes::Bytes;
use matrixon_proto::bus::v1::{Bell, DeviceListItem, KeyCountItem, RevocationItem};
use matrixon_store::{StoreError, Tx, streams::Stream};
use prost::Message as _;
use ruma::UserId;

use crate::{
    sessions::revocations::Revocation,
    state::Auth,
    store::{
        device_lists::{self, DeviceListChange},
        key_counts,
        profiles::{self, ProfileChange},
        revocations,
    },
};

#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    revoked: Vec<Revocation>,
    device_lists: Vec<DeviceListChange>,
    /// Interned numbers of devices.
    key_counts: Vec<i64>,
    profiles: Vec<ProfileChange>,
}

impl From<Vec<Revocation>> for Outbox {
    fn from(sessions: Vec<Revocation>) -> Self {
        let mut outbox = Self::default();
        outbox.add_sessions(sessions);
        outbox
    }
}

impl Outbox {
    fn add_sessions(&mut self, sessions: Vec<Revocation>) {
        for session in sessions {
            if session.removed {
                self.change(&session.user_id, &session.device_id, true, "");
            }
            if session.revokes {
                self.revoked.push(session);
            }
        }
    }

    /// The keys or the name of a device have changed, or it is new.
    pub(crate) fn device_changed(&mut self, user_id: &UserId, device_id: &str) {
        self.change(user_id.as_str(), device_id, false, "");
    }

    /// The cross-signing keys, or signatures of them that everybody sees.
    pub(crate) fn cross_signing_changed(&mut self, user_id: &UserId) {
        self.change(user_id.as_str(), "", false, "");
    }

    /// `signer` signed a key of this user, which nobody else sees.
    pub(crate) fn signed_by(&mut self, user_id: &UserId, signer: &UserId) {
        self.change(user_id.as_str(), "", false, signer.as_str());
    }

    pub(crate) fn revoke(&mut self, revocation: Revocation) {
        self.add_sessions(vec![revocation]);
    }

    /// Every device of the user is gone.
    pub(crate) fn all_devices_deleted(&mut self, user_id: &UserId, device_ids: &[String]) {
        self.add_sessions(Revocation::all_devices(user_id, device_ids));
    }

    /// Devices are gone, and their sessions with them.
    pub(crate) fn devices_deleted(&mut self, user_id: &UserId, device_ids: &[String]) {
        self.add_sessions(Revocation::devices(user_id, device_ids));
    }

    /// The account is over.
    pub(crate) fn account_ended(&mut self, user_id: &UserId) {
        self.profile_changed(user_id, "", true);
    }

    /// There is an account that was not there before, or not any more: the user directory learns of it.
    pub(crate) fn account_made(&mut self, user_id: &UserId) {
        self.profile_changed(user_id, "displayname", false);
    }

    /// A field of the profile is another one. `propagate`: the user's rooms shall hear of it.
    pub(crate) fn profile_changed(&mut self, user_id: &UserId, field: &str, propagate: bool) {
        self.profiles.push(ProfileChange { user_id: user_id.to_string(), field: field.to_owned(), propagate });
    }

    /// Other counts of one-time keys, or other unused fallback keys.
    pub(crate) fn key_counts_changed(&mut self, device: i64) {
        if !self.key_counts.contains(&device) {
            self.key_counts.push(device);
        }
    }

    fn change(&mut self, user_id: &str, device_id: &str, deleted: bool, visible_to: &str) {
        let (user_id, device_id, visible_to) = (user_id.to_owned(), device_id.to_owned(), visible_to.to_owned());
        let change = DeviceListChange { user_id, device_id, deleted, visible_to };
        if !self.device_lists.contains(&change) {
            self.device_lists.push(change);
        }
    }
}

/// Bells to ring after the commit.
#[must_use]
pub(crate) struct Bells(Vec<Bell>);

/// Appends to the streams, in their order: the last step before the commit.
pub(crate) async fn append(tx: &mut Tx, outbox: &Outbox, now_ms: i64) -> Result<Bells, StoreError> {
    let mut bells = Vec::new();
    if !outbox.revoked.is_empty() {
        let first = tx.advance(Stream::REVOCATIONS, outbox.revoked.len()).await?;
        for (position, revocation) in (first..).zip(&outbox.revoked) {
            revocations::insert_revocation(tx, &revocation.row(position), now_ms).await?;
        }
        bells.push(bell(Stream::REVOCATIONS, first, &outbox.revoked, revocation_item));
    }
    if !outbox.device_lists.is_empty() {
        let first = tx.advance(Stream::DEVICE_LISTS, outbox.device_lists.len()).await?;
        device_lists::insert_changes(tx, first, &outbox.device_lists, now_ms).await?;
        bells.push(bell(Stream::DEVICE_LISTS, first, &outbox.device_lists, device_list_item));
    }
    if !outbox.profiles.is_empty() {
        let first = tx.advance(Stream::PROFILES, outbox.profiles.len()).await?;
        profiles::insert_changes(tx, first, &outbox.profiles, now_ms).await?;
        // readers of this stream load what changed
        let (stream, last) = (Stream::PROFILES.name().to_owned(), first + outbox.profiles.len() as i64 - 1);
        bells.push(Bell { stream, first, last, items: Vec::new() });
    }
    if !outbox.key_counts.is_empty() {
        let first = key_counts::append(tx, &outbox.key_counts, now_ms).await?;
        bells.push(bell(Stream::KEY_COUNTS, first, &outbox.key_counts, |position, device| {
            KeyCountItem { position, device: *device }.encode_to_vec()
        }));
    }
    Ok(Bells(bells))
}

/// Ends a transaction: appends to the streams, commits, and only then rings the bells.
pub(crate) async fn commit(auth: &Auth, mut tx: Tx, outbox: Outbox) -> Result<(), StoreError> {
    let bells = append(&mut tx, &outbox, auth.clock.now_ms()).await?;
    tx.commit().await?;
    for bell in bells.0 {
        auth.bus.publish(&format!("matrixon.{}.v1", bell.stream), bell.encode_to_vec().into());
    }
    Ok(())
}

/// What is together over 256 KiB goes without its items: readers load the range.
fn bell<T>(stream: Stream, first: i64, changes: &[T], encode: impl Fn(i64, &T) -> Vec<u8>) -> Bell {
    const MAX_INLINE_BYTES: usize = 256 * 1024;
    let last = first + changes.len() as i64 - 1;
    let mut items: Vec<Bytes> =
        (first..).zip(changes).map(|(position, change)| encode(position, change).into()).collect();
    if items.iter().map(Bytes::len).sum::<usize>() > MAX_INLINE_BYTES {
        items.clear();
    }
    Bell { stream: stream.name().to_owned(), first, last, items }
}

fn revocation_item(position: i64, revocation: &Revocation) -> Vec<u8> {
    let row = revocation.row(position);
    let (user_id, device_id, token_sha256) = (row.user_id, row.device_id, row.token_sha256.into());
    RevocationItem { position, user_id, device_id, token_sha256 }.encode_to_vec()
}

fn device_list_item(position: i64, change: &DeviceListChange) -> Vec<u8> {
    let DeviceListChange { user_id, device_id, deleted, visible_to } = change.clone();
    DeviceListItem { position, user_id, device_id, deleted, visible_to }.encode_to_vec()
}
