//! Rooms as the room service writes them: one transaction an event, then the bell, which may get lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{Bell, EventItem};
use matrixon_rooms::HistoryVisibility;
use matrixon_store::{Db, exec, sql, streams::Stream};
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
    pub(crate) sender: String,
    pub(crate) content: Value,
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
        self.send(room, sender, "m.room.message", None, content, None).await
    }

    pub(crate) async fn message_from(&mut self, room: usize, sender: &str, device: &str, txn_id: &str) -> String {
        let content = json!({"msgtype": "m.text", "body": txn_id});
        self.send(room, sender, "m.room.message", None, content, Some((device, txn_id))).await
    }

    pub(crate) async fn state(
        &mut self,
        room: usize,
        sender: &str,
        event_type: &str,
        key: &str,
        content: Value,
    ) -> String {
        self.send(room, sender, event_type, Some(key), content, None).await
    }

    pub(crate) async fn member(&mut self, room: usize, sender: &str, target: &str, membership: &str) -> String {
        let content = json!({"membership": membership});
        self.send(room, sender, "m.room.member", Some(target), content, None).await
    }

    /// Takes an event's content away and says so.
    pub(crate) async fn redact(&mut self, room: usize, sender: &str, event_id: &str) -> String {
        let (json,) =
            sql!(self.db.read(), fetch_one as (String,), "select json from events where event_id = $1", event_id)
                .unwrap();
        let mut json: Value = serde_json::from_str(&json).unwrap();
        json["content"] = json!({});
        let content = json!({"redacts": event_id});
        let redacted = Some((event_id.to_owned(), json.to_string()));
        self.append(room, sender, "m.room.redaction", None, content, (None, redacted)).await
    }

    pub(crate) async fn forget(&self, room: usize, user_id: &str) {
        let number = self.rooms[room].number;
        exec!(
            self.db.write(),
            "update memberships set forgotten = true where room = $1 and user_id = $2",
            number,
            user_id
        )
        .unwrap();
    }

    async fn send(
        &mut self,
        room: usize,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
        txn: Option<(&str, &str)>,
    ) -> String {
        self.append(room, sender, event_type, state_key, content, (txn, None)).await
    }

    async fn append(
        &mut self,
        room: usize,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
        (txn, redacted): (Option<(&str, &str)>, Option<(String, String)>),
    ) -> String {
        self.txn += 1;
        let event_id = format!("$e{}", self.txn);
        let visibility = self.visibility(room);
        let Room { number, id, snapshot: before, .. } = &self.rooms[room];
        let (number, id, before) = (*number, id.clone(), *before);
        let mut json = json!({"type": event_type, "event_id": event_id, "room_id": id, "sender": sender,
            "origin_server_ts": 1_790_000_000_000_i64, "content": content});
        if let Some(key) = state_key {
            json["state_key"] = key.into();
        }
        let text = json.to_string();
        let membership = (event_type == "m.room.member").then(|| content["membership"].as_str().unwrap().to_owned());
        let key = state_key.map(|key| (event_type.to_owned(), key.to_owned()));
        let replaced = key.as_ref().and_then(|key| self.rooms[room].state.get(key)).cloned();
        let mut tx = self.db.begin().await.unwrap();
        let position = tx.advance(Stream::EVENTS, 1).await.unwrap();
        let mut after = before;
        if let Some(key) = &key {
            self.rooms[room].state.insert(key.clone(), (position, text.clone()));
            let (snapshot,) = sql!(
                tx.ex(),
                fetch_one as (i64,),
                "insert into state_snapshots (room, parent, height, previous) values ($1, 0, 1, $2) returning id",
                number,
                before
            )
            .unwrap();
            after = snapshot;
            for (event, _) in self.rooms[room].state.values() {
                exec!(tx.ex(), "insert into state_entries (snapshot, event) values ($1, $2)", after, *event).unwrap();
            }
            exec!(
                tx.ex(),
                "insert into current_state (room, event_type, state_key, event) values ($1, $2, $3, $4)
                 on conflict (room, event_type, state_key) do update set event = excluded.event",
                number,
                key.0.as_str(),
                key.1.as_str(),
                position
            )
            .unwrap();
        }
        if let (Some(membership), Some(target)) = (&membership, state_key) {
            exec!(
                tx.ex(),
                "insert into memberships (user_id, room, membership, event, sender) values ($1, $2, $3, $4, $5)
                 on conflict (user_id, room) do update set membership = excluded.membership, event = excluded.event,
                 sender = excluded.sender, forgotten = false",
                target,
                number,
                membership.as_str(),
                position,
                sender
            )
            .unwrap();
        }
        exec!(
            tx.ex(),
            "insert into events (position, room, event_id, event_type, state_key, sender, depth, origin_server_ts, json, pdu,
             state_before, state_after, replaces, membership, history_visibility, device_id, txn_id)
             values ($1, $2, $3, $4, $5, $6, 1, 1790000000000, $7, '{}', $8, $9, $10, $11, $12, $13, $14)",
            position, number, event_id.as_str(), event_type, state_key, sender, text.as_str(), before, after,
            replaced.as_ref().map(|replaced| replaced.0), membership.as_deref(), visibility.to_column(),
            txn.map(|txn| txn.0), txn.map(|txn| txn.1)
        )
        .unwrap();
        if let Some((target, json)) = &redacted {
            exec!(
                tx.ex(),
                "update events set json = $1, redacted_by = $2 where event_id = $3",
                json.as_str(),
                position,
                target.as_str()
            )
            .unwrap();
        }
        tx.commit().await.unwrap();
        self.rooms[room].snapshot = after;
        self.events.push(Sent {
            position,
            room,
            event_id: event_id.clone(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            sender: sender.to_owned(),
            content,
        });
        let (device_id, txn_id) = txn.unwrap_or_default();
        let item = EventItem {
            position,
            room_id: id,
            event_id: event_id.clone(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            sender: sender.to_owned(),
            json: text.into(),
            membership: membership.unwrap_or_default(),
            redacts: redacted.map(|redacted| redacted.0).unwrap_or_default(),
            device_id: device_id.to_owned(),
            txn_id: txn_id.to_owned(),
            state_snapshot: after,
            prev_json: replaced.map(|replaced| Bytes::from(replaced.1)),
            room: number,
            state_before: before,
        };
        self.ring(position, &item);
        event_id
    }

    fn ring(&self, position: i64, item: &EventItem) {
        if self.rings {
            let items = vec![item.encode_to_vec().into()];
            let bell = Bell { stream: "events".to_owned(), first: position, last: position, items };
            self.bus.publish(&Stream::EVENTS.subject(), bell.encode_to_vec().into());
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
