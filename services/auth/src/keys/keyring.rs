//! The keys of users between requests: kept ready for `/keys/query` and `/keys/claim`, and never older than the request.
//!
//! Whatever changes a user's keys or device names appends to stream `device_lists` in the same transaction, and positions of
//! a stream appear in their order. So every look first reads what the stream has that is new (one statement, mostly of no
//! rows), forgets the users it names, and then knows: what is still there is as of the stream's head.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use matrixon_store::{Db, StoreError};
use moka::sync::Cache;
use ruma::UserId;

use super::json::{ObjectWriter, text};
use crate::store::{
    cross_signing::{self, KeyRow},
    device_keys::{self, DeviceRow},
    device_lists::{self, Changed},
};

#[derive(Debug)]
struct DeviceKeys {
    device_id: Box<str>,
    /// Its interned number.
    number: i64,
    /// As a member of `device_keys`, with `unsigned`: `{id: keys}`. None: it has none.
    member: Option<Box<str>>,
}

/// The keys of one user as they are answered.
#[derive(Debug, Default)]
pub(crate) struct UserKeys {
    devices: Vec<DeviceKeys>,
    /// All of those as one object.
    pub(super) all_devices: Box<str>,
    /// Public key and JSON.
    pub(super) master: Option<(Box<str>, Box<str>)>,
    pub(super) self_signing: Option<Box<str>>,
    pub(super) user_signing: Option<Box<str>>,
}

impl UserKeys {
    fn new(devices: &[DeviceRow], keys: &[KeyRow]) -> Self {
        let mut user = Self::default();
        let length = |row: &DeviceRow| row.json.as_ref().map_or(0, |json| json.len() + 128);
        let mut all = ObjectWriter::with_capacity(devices.iter().map(length).sum());
        for row in devices {
            let member = row.json.as_deref().map(|json| device_member(row, json));
            if let Some(member) = &member {
                all.members(member);
            }
            let member = member.map(Into::into);
            user.devices.push(DeviceKeys { device_id: row.device_id.as_str().into(), number: row.device, member });
        }
        user.all_devices = all.finish().into();
        for row in keys {
            match row.usage.as_str() {
                "master" => user.master = Some((row.public_key.as_str().into(), row.json.as_str().into())),
                "self_signing" => user.self_signing = Some(row.json.as_str().into()),
                _ => user.user_signing = Some(row.json.as_str().into()),
            }
        }
        user
    }

    /// The keys of these devices, as one object.
    pub(super) fn only(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut some = ObjectWriter::new();
        for member in self.devices.iter().filter(|one| wanted(&one.device_id)).filter_map(|one| one.member.as_ref()) {
            some.members(member);
        }
        some.finish()
    }

    /// The interned number of a device.
    pub(super) fn number(&self, device_id: &str) -> Option<i64> {
        self.devices.iter().find(|one| *one.device_id == *device_id).map(|one| one.number)
    }

    fn bytes(&self) -> usize {
        let key = |key: &Option<Box<str>>| key.as_ref().map_or(0, |json| json.len());
        let device = |one: &DeviceKeys| 80 + one.device_id.len() + one.member.as_ref().map_or(0, |json| json.len());
        let devices: usize = self.devices.iter().map(device).sum();
        let master = self.master.as_ref().map_or(0, |(public_key, json)| public_key.len() + json.len());
        256 + devices + self.all_devices.len() + master + key(&self.self_signing) + key(&self.user_signing)
    }
}

fn device_member(row: &DeviceRow, json: &str) -> String {
    let unsigned = match &row.display_name {
        None => "{}".to_owned(),
        Some(name) => format!(r#"{{"device_display_name":{}}}"#, text(name)),
    };
    let mut one = ObjectWriter::with_capacity(json.len() + 128);
    one.member_with(&row.device_id, json, ("unsigned", &unsigned));
    one.finish()
}

pub(crate) struct Keyring {
    users: Cache<Arc<str>, Arc<UserKeys>>,
    /// Position of the stream that `users` is as of.
    reached: Mutex<i64>,
}

impl Keyring {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let weigh =
            |user_id: &Arc<str>, keys: &Arc<UserKeys>| u32::try_from(user_id.len() + keys.bytes()).unwrap_or(u32::MAX);
        let users = Cache::builder().weigher(weigh).max_capacity(max_bytes).build();
        Self { users, reached: Mutex::new(0) }
    }

    /// The keys of these users, as of now or later. Who has none has an empty set of them.
    pub(super) async fn load(&self, db: &Db, user_ids: &[&UserId]) -> Result<Vec<Arc<UserKeys>>, StoreError> {
        let reached = self.catch_up(db).await?;
        let mut found: Vec<_> = user_ids.iter().map(|user_id| self.users.get(user_id.as_str())).collect();
        let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<&str> = missing.iter().map(|at| user_ids[*at].as_str()).collect();
            let loaded = Box::pin(load(db, &wanted)).await?;
            let now = self.lock();
            for (at, keys) in missing.into_iter().zip(loaded) {
                // whoever went on meanwhile may have found that these had changed, and forgotten them in vain
                if *now == reached {
                    self.users.insert(user_ids[at].as_str().into(), keys.clone());
                }
                found[at] = Some(keys);
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    async fn catch_up(&self, db: &Db) -> Result<i64, StoreError> {
        let from = *self.lock();
        let changed = device_lists::list_changed(db, from).await?;
        let mut reached = self.lock();
        match changed {
            // the database was restored from an older copy
            Changed { head, .. } if head < from => {
                self.users.invalidate_all();
                *reached = head;
                Ok(head)
            }
            Changed { head, users } => {
                match users {
                    Some(users) => users.iter().for_each(|user_id| self.users.invalidate(user_id.as_str())),
                    None => self.users.invalidate_all(),
                }
                *reached = head.max(*reached);
                Ok(head)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, i64> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the order of the ids.
async fn load(db: &Db, user_ids: &[&str]) -> Result<Vec<Arc<UserKeys>>, StoreError> {
    let list = serde_json::Value::from(user_ids).to_string();
    let (devices, keys) = tokio::try_join!(device_keys::load_devices(db, &list), cross_signing::load_keys(db, &list))?;
    let devices = by_user(&devices, |row| &row.user_id);
    let keys = by_user(&keys, |row| &row.user_id);
    let of = |user_id: &&str| {
        let devices = devices.get(user_id).copied().unwrap_or_default();
        Arc::new(UserKeys::new(devices, keys.get(user_id).copied().unwrap_or_default()))
    };
    Ok(user_ids.iter().map(of).collect())
}

/// Rows come together by users.
fn by_user<T>(rows: &[T], user_id: impl Fn(&T) -> &String) -> std::collections::HashMap<&str, &[T]> {
    rows.chunk_by(|a, b| user_id(a) == user_id(b)).map(|rows| (user_id(&rows[0]).as_str(), rows)).collect()
}
