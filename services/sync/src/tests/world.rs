//! Rooms as the room service writes them: one transaction an event, then the bell, which may get lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{Bell, DeviceListItem, EventItem, KeyCountItem};
use matrixon_rooms::HistoryVisibility;
use matrixon_store::{Db, Tx, exec, sql, streams::Stream};
use prost::Message as _;
use serde_json::{Value, json};

pub(crate) struct World {
    db: Db,
    bus: Bus,
    pub(crate) rooms: Vec<Room>,
    pub(crate) events: Vec<Sent>,
    /// Bells that ring; the others get lost.
    pub(crate) rings: bool,
    txn: u64,
}

pub(crate) struct Room {
    pub(crate) number: i64,
    pub(crate) id: String,
    /// (type, state key) → position and JSON
    pub(crate) state: BTreeMap<(String, String), (i64, String)>,
    snapshot: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) position: i64,
    pub(crate) room: usize,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) state_key: Option<String>,
    pub(crate) content: Value,
}

/// An event to be sent.
struct New {
    room: usize,
    sender: String,
    event_type: String,
    state_key: Option<String>,
    content: Value,
    /// Device and transaction id.
    txn: Option<(String, String)>,
    /// The event that it redacts, with what is left of it.
    redacted: Option<(String, String)>,
}

impl New {
    fn plain(room: usize, sender: &str, event_type: &str, content: Value) -> Self {
        let (sender, event_type) = (sender.to_owned(), event_type.to_owned());
        Self { room, sender, event_type, state_key: None, content, txn: None, redacted: None }
    }
}

pub(crate) fn user(number: usize) -> String {
    format!("@u{number}:example.org")
}

impl World {
    pub(crate) fn new(db: Db, bus: Bus) -> Self {
        Self { db, bus, rooms: Vec::new(), events: Vec::new(), rings: true, txn: 0 }
    }

    /// A room with a creator and the usual state; its index.
    pub(crate) async fn create_room(&mut self, creator: &str) -> usize {
        let index = self.rooms.len();
        let id = format!("!r{index}:example.org");
        let (number,) = sql!(
            self.db.write(),
            fetch_one as (i64,),
            "insert into rooms (room_id, room_version, version, forward_extremities, depth, state_snapshot, created_ts)
             values ($1, '11', 0, '[]', 0, 0, 0) returning id",
            id.as_str()
        )
        .unwrap();
        self.rooms.push(Room { number, id, state: BTreeMap::new(), snapshot: 0 });
        self.state(index, creator, "m.room.create", "", json!({"room_version": "11"})).await;
        self.member(index, creator, creator, "join").await;
        self.state(index, creator, "m.room.join_rules", "", json!({"join_rule": "public"})).await;
        self.state(index, creator, "m.room.history_visibility", "", json!({"history_visibility": "shared"})).await;
        index
    }

    pub(crate) async fn message(&mut self, room: usize, sender: &str, body: &str) -> String {
        let content = json!({"msgtype": "m.text", "body": body});
        self.append(New::plain(room, sender, "m.room.message", content)).await
    }

    pub(crate) async fn message_from(&mut self, room: usize, sender: &str, device: &str, txn_id: &str) -> String {
        let content = json!({"msgtype": "m.text", "body": txn_id});
        let txn = Some((device.to_owned(), txn_id.to_owned()));
        self.append(New { txn, ..New::plain(room, sender, "m.room.message", content) }).await
    }

    pub(crate) async fn state(&mut self, room: usize, sender: &str, kind: &str, key: &str, content: Value) -> String {
        self.append(New { state_key: Some(key.to_owned()), ..New::plain(room, sender, kind, content) }).await
    }

    pub(crate) async fn member(&mut self, room: usize, sender: &str, target: &str, membership: &str) -> String {
        self.state(room, sender, "m.room.member", target, json!({"membership": membership})).await
    }

    /// Takes an event's content away and says so.
    pub(crate) async fn redact(&mut self, room: usize, sender: &str, event_id: &str) -> String {
        let query = "select json from events where event_id = $1";
        let (json,) = sql!(self.db.read(), fetch_one as (String,), query, event_id).unwrap();
        let mut json: Value = serde_json::from_str(&json).unwrap();
        json["content"] = json!({});
        let redacted = Some((event_id.to_owned(), json.to_string()));
        let content = json!({"redacts": event_id});
        self.append(New { redacted, ..New::plain(room, sender, "m.room.redaction", content) }).await
    }

    pub(crate) async fn forget(&self, room: usize, user_id: &str) {
        let number = self.rooms[room].number;
        let query = "update memberships set forgotten = true where room = $1 and user_id = $2";
        exec!(self.db.write(), query, number, user_id).unwrap();
    }

    /// The devices of a user have changed; the position of that in stream `device_lists`. `visible_to`: empty for everybody.
    pub(crate) async fn change_device(&self, user_id: &str, visible_to: &str) -> i64 {
        let mut tx = self.db.begin().await.unwrap();
        let position = tx.advance(Stream::DEVICE_LISTS, 1).await.unwrap();
        exec!(
            tx.ex(),
            "insert into device_list_changes (position, user_id, device_id, visible_to, created_ts) values ($1, $2, 'D', $3, 0)",
            position,
            user_id,
            visible_to
        )
        .unwrap();
        tx.commit().await.unwrap();
        let (device_id, deleted) = ("D".to_owned(), false);
        let (user_id, visible_to) = (user_id.to_owned(), visible_to.to_owned());
        let item = DeviceListItem { position, user_id, device_id, deleted, visible_to };
        self.announce(Stream::DEVICE_LISTS, position, item.encode_to_vec());
        position
    }

    /// The device has this many one-time keys now, and an unused fallback key or none.
    pub(crate) async fn set_keys(&self, device: i64, count: i64, fallback: bool) {
        let mut tx = self.db.begin().await.unwrap();
        exec!(tx.ex(), "delete from key_queues where device = $1", device).unwrap();
        exec!(tx.ex(), "delete from fallback_keys where device = $1", device).unwrap();
        let query = "insert into key_queues (device, algorithm, next, ends) values ($1, 'signed_curve25519', 7, $2)";
        exec!(tx.ex(), query, device, 7 + count).unwrap();
        if fallback {
            let query = "insert into fallback_keys (device, algorithm, key_id, json) values ($1, 'signed_curve25519', 'f', '{}')";
            exec!(tx.ex(), query, device).unwrap();
        }
        // with a device that does not matter, as a claim of keys of both
        let first = tx.advance(Stream::KEY_COUNTS, 2).await.unwrap();
        let devices = [0, device];
        let query = "insert into key_count_changes (position, device, devices, created_ts) values ($1, $2, $3, 0)";
        exec!(tx.ex(), query, first + 1, devices[0], serde_json::json!(devices).to_string()).unwrap();
        tx.commit().await.unwrap();
        let items = (first..).zip(devices).map(|(position, device)| KeyCountItem { position, device }.encode_to_vec());
        self.announce_all(Stream::KEY_COUNTS, first, items.collect());
    }

    async fn append(&mut self, new: New) -> String {
        self.txn += 1;
        let event_id = format!("$e{}", self.txn);
        let Room { number, id, snapshot: before, .. } = &self.rooms[new.room];
        let (number, before) = (*number, *before);
        let mut json = json!({"type": new.event_type, "event_id": event_id, "room_id": id, "sender": new.sender,
            "origin_server_ts": 1_790_000_000_000_i64, "content": new.content});
        if let Some(key) = &new.state_key {
            json["state_key"] = key.as_str().into();
        }
        let mut item = EventItem {
            room_id: id.clone(),
            event_id: event_id.clone(),
            event_type: new.event_type.clone(),
            state_key: new.state_key.clone(),
            sender: new.sender.clone(),
            json: json.to_string().into(),
            redacts: new.redacted.as_ref().map(|redacted| redacted.0.clone()).unwrap_or_default(),
            state_snapshot: before,
            room: number,
            state_before: before,
            ..EventItem::default()
        };
        if let Some((device_id, txn_id)) = &new.txn {
            (item.device_id, item.txn_id) = (device_id.clone(), txn_id.clone());
        }
        if item.event_type == "m.room.member" {
            item.membership = new.content["membership"].as_str().unwrap().to_owned();
        }
        self.write(&new, &mut item).await;
        self.rooms[new.room].snapshot = item.state_snapshot;
        self.ring(item.position, &item);
        self.events.push(Sent {
            position: item.position,
            room: new.room,
            event_id: event_id.clone(),
            event_type: new.event_type,
            state_key: new.state_key,
            content: new.content,
        });
        event_id
    }

    async fn write(&mut self, new: &New, item: &mut EventItem) {
        let visibility = self.visibility(new.room).to_column();
        let mut tx = self.db.begin().await.unwrap();
        item.position = tx.advance(Stream::EVENTS, 1).await.unwrap();
        let replaced = self.write_state(&mut tx, new, item).await;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        exec!(
            tx.ex(),
            "insert into events (position, room, event_id, event_type, state_key, sender, depth, origin_server_ts, json,
             pdu, state_before, state_after, replaces, membership, history_visibility, device_id, txn_id)
             values ($1, $2, $3, $4, $5, $6, 1, 1790000000000, $7, '{}', $8, $9, $10, $11, $12, $13, $14)",
            item.position, item.room, item.event_id.as_str(), item.event_type.as_str(), item.state_key.as_deref(),
            item.sender.as_str(), std::str::from_utf8(&item.json).unwrap(), item.state_before, item.state_snapshot,
            replaced, text(&item.membership), visibility, text(&item.device_id), text(&item.txn_id)
        )
        .unwrap();
        if let Some((target, json)) = &new.redacted {
            let query = "update events set json = $1, redacted_by = $2 where event_id = $3";
            exec!(tx.ex(), query, json.as_str(), item.position, target.as_str()).unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Snapshot, current state and membership; the position of the event that was replaced.
    async fn write_state(&mut self, tx: &mut Tx, new: &New, item: &mut EventItem) -> Option<i64> {
        let state_key = new.state_key.clone()?;
        let key = (new.event_type.clone(), state_key.clone());
        let state = &mut self.rooms[new.room].state;
        let json = String::from_utf8(item.json.to_vec()).unwrap();
        let replaced = state.insert(key, (item.position, json));
        let query = "insert into state_snapshots (room, parent, height, previous) values ($1, 0, 1, $2) returning id";
        let (snapshot,) = sql!(tx.ex(), fetch_one as (i64,), query, item.room, item.state_before).unwrap();
        item.state_snapshot = snapshot;
        for (event, _) in state.values() {
            exec!(tx.ex(), "insert into state_entries (snapshot, event) values ($1, $2)", snapshot, *event).unwrap();
        }
        exec!(
            tx.ex(),
            "insert into current_state (room, event_type, state_key, event) values ($1, $2, $3, $4)
             on conflict (room, event_type, state_key) do update set event = excluded.event",
            item.room,
            new.event_type.as_str(),
            state_key.as_str(),
            item.position
        )
        .unwrap();
        if !item.membership.is_empty() {
            exec!(
                tx.ex(),
                "insert into memberships (user_id, room, membership, event, sender) values ($1, $2, $3, $4, $5)
                 on conflict (user_id, room) do update set membership = excluded.membership, event = excluded.event,
                 sender = excluded.sender, forgotten = false",
                state_key.as_str(),
                item.room,
                item.membership.as_str(),
                item.position,
                new.sender.as_str()
            )
            .unwrap();
        }
        item.prev_json = replaced.as_ref().map(|replaced| Bytes::from(replaced.1.clone()));
        replaced.map(|replaced| replaced.0)
    }

    fn ring(&self, position: i64, item: &EventItem) {
        self.announce(Stream::EVENTS, position, item.encode_to_vec());
    }

    fn announce(&self, stream: Stream, position: i64, item: Vec<u8>) {
        self.announce_all(stream, position, vec![item]);
    }

    fn announce_all(&self, stream: Stream, first: i64, items: Vec<Vec<u8>>) {
        if self.rings {
            let last = first + items.len() as i64 - 1;
            let items = items.into_iter().map(Into::into).collect();
            let bell = Bell { stream: stream.name().to_owned(), first, last, items };
            self.bus.publish(&stream.subject(), bell.encode_to_vec().into());
        }
    }

    fn visibility(&self, room: usize) -> HistoryVisibility {
        let key = ("m.room.history_visibility".to_owned(), String::new());
        let Some((_, json)) = self.rooms[room].state.get(&key) else { return HistoryVisibility::Shared };
        let json: Value = serde_json::from_str(json).unwrap();
        HistoryVisibility::parse(json["content"]["history_visibility"].as_str())
    }

    /// The membership of a user just after a position.
    pub(crate) fn membership_at(&self, room: usize, user_id: &str, position: i64) -> Option<String> {
        let is_own = |event: &&Sent| {
            event.room == room && event.position <= position && event.state_key.as_deref() == Some(user_id)
        };
        self.events.iter().rev().find(is_own).map(|event| event.content["membership"].as_str().unwrap().to_owned())
    }

    /// The state of a room just after a position: key → event id.
    pub(crate) fn state_at(&self, room: usize, position: i64) -> BTreeMap<(String, String), String> {
        let mut state = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.room == room && event.position <= position) {
            if let Some(key) = &event.state_key {
                state.insert((event.event_type.clone(), key.clone()), event.event_id.clone());
            }
        }
        state
    }
}
