//! Devices whose requests are here: whether messages wait for them, and the keys that every response tells of.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{
    items::{KeyCountChange, ToDevicePlace},
    user::{Bell, Bells},
};

#[derive(Debug, Default)]
pub(crate) struct OnlineDevice {
    pub(crate) bell: Arc<Bell>,
    /// SQL has said what waits. Until then only what came since is known.
    known: bool,
    /// (first, newest) position of the messages that it may have and has not acknowledged here.
    waiting: Option<(i64, i64)>,
    /// Members of the response, ready to be sent; None: read them again.
    keys: Option<Bytes>,
    /// Counts the changes of its keys.
    keys_version: u64,
}

/// What SQL had of a device.
#[derive(Clone, Debug)]
pub(crate) struct LoadedDevice {
    /// First and newest message.
    pub(crate) waiting: Option<(i64, i64)>,
    pub(crate) keys: Bytes,
}

impl OnlineDevice {
    pub(crate) fn has_message_after(&self, position: i64) -> bool {
        self.waiting.is_some_and(|(_, newest)| newest > position)
    }

    /// Are there messages that the return of a token with this position acknowledges?
    pub(crate) fn has_message_upto(&self, position: i64) -> bool {
        self.waiting.is_some_and(|(first, _)| first <= position)
    }

    pub(crate) fn keys(&self) -> Option<&Bytes> {
        self.keys.as_ref()
    }

    pub(crate) fn keys_version(&self) -> u64 {
        self.keys_version
    }

    fn add(&mut self, (first, newest): (i64, i64)) {
        let (known_first, known_newest) = self.waiting.unwrap_or((first, newest));
        self.waiting = Some((known_first.min(first), known_newest.max(newest)));
    }
}

/// By interned number.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    online: HashMap<i64, OnlineDevice>,
    /// Positions that memory has reached in streams `to_device` and `key_counts`.
    pub(crate) to_device: i64,
    pub(crate) key_counts: i64,
}

impl Devices {
    pub(crate) fn new(to_device: i64, key_counts: i64) -> Self {
        Self { online: HashMap::new(), to_device, key_counts }
    }

    /// A device of which everything is known.
    pub(crate) fn find(&self, number: i64) -> Option<&OnlineDevice> {
        self.online.get(&number).filter(|device| device.known)
    }

    pub(crate) fn keys_version(&self, number: i64) -> u64 {
        self.online.get(&number).map_or(0, OnlineDevice::keys_version)
    }

    /// From here on the streams tell this device what comes; what there is already has to be read from SQL after this.
    pub(crate) fn register(&mut self, number: i64, now_ms: i64) {
        // it counts as used from now on, so that it is still here when the load returns
        drop(self.online.entry(number).or_default().bell.enter(now_ms));
    }

    /// `version` is that of the keys from before the load: a change since then makes what was read worthless.
    pub(crate) fn install(&mut self, number: i64, loaded: LoadedDevice, version: u64) {
        let Some(device) = self.online.get_mut(&number) else { return };
        device.known = true;
        if let Some(waiting) = loaded.waiting {
            device.add(waiting);
        }
        self.install_keys(number, loaded.keys, version);
    }

    pub(crate) fn install_keys(&mut self, number: i64, keys: Bytes, version: u64) {
        if let Some(device) = self.online.get_mut(&number).filter(|device| device.keys_version == version) {
            device.keys = Some(keys);
        }
    }

    pub(crate) fn push_message(&mut self, place: ToDevicePlace, bells: &mut Bells) {
        if place.position <= self.to_device {
            return;
        }
        self.to_device = place.position;
        if let Some(device) = self.online.get_mut(&place.device) {
            device.add((place.position, place.position));
            bells.push(device.bell.clone());
        }
    }

    /// Devices may share a position; what is told twice is only read again.
    pub(crate) fn push_key_count(&mut self, change: KeyCountChange) {
        if change.position < self.key_counts {
            return;
        }
        self.key_counts = change.position;
        if let Some(device) = self.online.get_mut(&change.device) {
            device.keys = None;
            device.keys_version += 1;
        }
    }

    /// The messages up to there are deleted.
    pub(crate) fn acknowledged(&mut self, number: i64, upto: i64) {
        let Some(device) = self.online.get_mut(&number) else { return };
        let left = device.waiting.filter(|(_, newest)| *newest > upto);
        device.waiting = left.map(|(first, newest)| (first.max(upto + 1), newest));
    }

    pub(crate) fn drop_idle(&mut self, since_ms: i64) {
        self.online.retain(|_, device| !device.bell.is_idle_since(since_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::{Devices, KeyCountChange, LoadedDevice, ToDevicePlace};

    fn loaded(waiting: Option<(i64, i64)>) -> LoadedDevice {
        LoadedDevice { waiting, keys: "k".into() }
    }

    #[test]
    fn what_comes_during_the_load_is_not_overlooked() {
        let mut devices = Devices::new(10, 5);
        devices.register(1, 0);
        assert!(devices.find(1).is_none());
        let version = devices.keys_version(1);
        let mut bells = Vec::new();
        devices.push_message(ToDevicePlace { position: 12, device: 1 }, &mut bells);
        devices.push_message(ToDevicePlace { position: 13, device: 2 }, &mut bells);
        assert_eq!((bells.len(), devices.to_device), (1, 13));
        devices.push_key_count(KeyCountChange { position: 6, device: 1 });
        devices.install(1, loaded(Some((3, 7))), version);
        let device = devices.find(1).unwrap();
        assert!(device.has_message_after(11) && !device.has_message_after(12));
        assert!(device.has_message_upto(3) && !device.has_message_upto(2));
        assert!(device.keys().is_none(), "read before the change");
        devices.install_keys(1, "k2".into(), devices.keys_version(1));
        assert!(devices.find(1).unwrap().keys().is_some());
    }

    #[test]
    fn acknowledged_messages_no_longer_wait() {
        let mut devices = Devices::new(0, 0);
        devices.register(1, 0);
        devices.install(1, loaded(Some((3, 9))), 0);
        devices.acknowledged(1, 5);
        let device = devices.find(1).unwrap();
        assert!(!device.has_message_upto(5) && device.has_message_upto(6) && device.has_message_after(8));
        devices.acknowledged(1, 9);
        assert!(!devices.find(1).unwrap().has_message_after(0));
        // news of the past are none
        devices.push_message(ToDevicePlace { position: 10, device: 1 }, &mut Vec::new());
        devices.push_message(ToDevicePlace { position: 4, device: 1 }, &mut Vec::new());
        assert!(!devices.find(1).unwrap().has_message_upto(9));
    }

    #[test]
    fn devices_without_requests_are_forgotten() {
        let mut devices = Devices::new(0, 0);
        devices.register(1, 1_000);
        devices.install(1, loaded(None), 0);
        devices.drop_idle(1_000);
        let present = devices.find(1).unwrap().bell.enter(1_500);
        devices.drop_idle(5_000);
        assert!(devices.find(1).is_some());
        drop(present);
        devices.drop_idle(5_000);
        assert!(devices.find(1).is_none());
    }
}
