//! Events as rows, and their client form.

use std::fmt::Write as _;

use matrixon_store::{Db, StoreError, from_row, sql};

use crate::{json::json_list, visibility::HistoryVisibility};

/// One row of `events`. `json` is the client form without `unsigned`; it is spliced into responses as it is.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub position: i64,
    pub room: i64,
    pub event_id: String,
    pub event_type: String,
    pub state_key: Option<String>,
    pub sender: String,
    pub depth: i64,
    pub origin_server_ts: i64,
    pub json: String,
    pub state_before: i64,
    pub state_after: i64,
    pub replaces: Option<i64>,
    pub membership: Option<String>,
    pub history_visibility: i16,
    pub redacted_by: Option<i64>,
    pub device_id: Option<String>,
    pub txn_id: Option<String>,
}

from_row!(EventRow {
    position,
    room,
    event_id,
    event_type,
    state_key,
    sender,
    depth,
    origin_server_ts,
    json,
    state_before,
    state_after,
    replaces,
    membership,
    history_visibility,
    redacted_by,
    device_id,
    txn_id
});

/// What a particular reader gets in `unsigned`; members that are `None` are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsigned<'a> {
    pub age_ms: Option<i64>,
    pub transaction_id: Option<&'a str>,
    /// Client JSON of the state event that this one replaced: its `content` becomes `prev_content`.
    pub replaced: Option<&'a EventRow>,
    /// Client JSON of the redaction.
    pub redacted_because: Option<&'a str>,
    /// The reader's membership at the event (v1.11+).
    pub membership: Option<&'a str>,
}

/// How the transaction id of a redaction is stored: `PUT …/redact/{eventId}/{txnId}` is an endpoint of its own, so
/// its ids are apart from those of messages, and of redactions of other events.
pub fn redaction_txn_id(target: &str, txn_id: &str) -> String {
    format!("redact {target} {txn_id}")
}

/// The transaction id as the client gave it.
pub fn client_txn_id<'a>(event_type: &str, stored: &'a str) -> &'a str {
    let scoped = if event_type == "m.room.redaction" { stored.strip_prefix("redact $") } else { None };
    scoped.and_then(|scoped| scoped.split_once(' ')).map_or(stored, |(_, txn_id)| txn_id)
}

impl EventRow {
    pub fn visibility(&self) -> HistoryVisibility {
        HistoryVisibility::from_column(self.history_visibility)
    }

    /// The transaction id, if `device_id` of `user_id` sent this event.
    pub fn transaction_id_for(&self, user_id: &str, device_id: &str) -> Option<&str> {
        (self.sender == user_id && self.device_id.as_deref() == Some(device_id))
            .then_some(self.txn_id.as_deref())
            .flatten()
            .map(|stored| client_txn_id(&self.event_type, stored))
    }

    /// The event as a client gets it.
    pub fn client_json(&self, unsigned: &Unsigned<'_>) -> String {
        let mut out = String::with_capacity(self.json.len() + 160);
        self.write_client_json(unsigned, &mut out);
        out
    }

    /// Appends the event as a client gets it: the stored bytes, with `unsigned` spliced in before the last brace.
    pub fn write_client_json(&self, unsigned: &Unsigned<'_>, out: &mut String) {
        let body = self.json.strip_suffix('}').unwrap_or(&self.json);
        out.push_str(body);
        let before = out.len();
        out.push_str(",\"unsigned\":{");
        let empty = out.len();
        if let Some(age) = unsigned.age_ms {
            write!(out, "\"age\":{age}").expect("writing to a string");
        }
        let mut member = |name: &str, value: &str| {
            if out.len() > empty {
                out.push(',');
            }
            write!(out, "\"{name}\":{value}").expect("writing to a string");
        };
        if let Some(txn_id) = unsigned.transaction_id {
            member("transaction_id", &json_string(txn_id));
        }
        if let Some(replaced) = unsigned.replaced {
            if let Some(content) = content_of(&replaced.json) {
                member("prev_content", content);
            }
            member("prev_sender", &json_string(&replaced.sender));
            member("replaces_state", &json_string(&replaced.event_id));
        }
        if let Some(redaction) = unsigned.redacted_because {
            member("redacted_because", redaction);
        }
        if let Some(membership) = unsigned.membership {
            member("membership", &json_string(membership));
        }
        if out.len() == empty {
            out.truncate(before);
        } else {
            out.push('}');
        }
        out.push('}');
    }
}

fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// The `content` member of an event, as the bytes that are stored.
pub fn content_of(json: &str) -> Option<&str> {
    #[derive(serde::Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        content: &'a serde_json::value::RawValue,
    }
    serde_json::from_str::<Content<'_>>(json).ok().map(|event| event.content.get())
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select e.position, e.room, e.event_id, e.event_type, e.state_key, e.sender, e.depth, e.origin_server_ts, e.json, ",
            "e.state_before, e.state_after, e.replaces, e.membership, e.history_visibility, e.redacted_by, e.device_id, e.txn_id ",
            $rest
        )
    };
}
pub(crate) use select;

pub async fn find_event(db: &Db, event_id: &str) -> Result<Option<EventRow>, StoreError> {
    sql!(db.read(), fetch_optional as EventRow, select!("from events e where e.event_id = $1"), event_id)
}

/// In no particular order; unknown ids are left out.
pub async fn load_events(db: &Db, event_ids: &[&str]) -> Result<Vec<EventRow>, StoreError> {
    sql!(
        db.read(), fetch_all as EventRow,
        pg: select!("from events e where e.event_id in (select json_array_elements_text($1::json))"),
        lite: select!("from events e where e.event_id in (select value from json_each($1))"),
        json_list(event_ids)
    )
}

/// By position, ascending; unknown positions are left out.
pub async fn load_by_positions(db: &Db, positions: &[i64]) -> Result<Vec<EventRow>, StoreError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    sql!(
        db.read(), fetch_all as EventRow,
        pg: select!("from events e where e.position in (select value::bigint from json_array_elements_text($1::json)) order by e.position"),
        lite: select!("from events e where e.position in (select value from json_each($1)) order by e.position"),
        json_list(positions)
    )
}

/// The whole stream, positions `after + 1 ..= upto`, ascending.
pub async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<EventRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as EventRow,
        select!("from events e where e.position > $1 and e.position <= $2 order by e.position"),
        after,
        upto
    )
}

/// The event that this device already sent with this transaction id.
pub async fn find_by_txn(
    db: &Db,
    room: i64,
    sender: &str,
    device_id: &str,
    txn_id: &str,
) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select event_id from events where room = $1 and sender = $2 and device_id = $3 and txn_id = $4",
        room,
        sender,
        device_id,
        txn_id
    )?;
    Ok(row.map(|row| row.0))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Accepted events of one room between two positions, both exclusive; the nearest to `from` first.
pub async fn list_timeline(
    db: &Db,
    room: i64,
    from: i64,
    to: i64,
    direction: Direction,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    match direction {
        Direction::Forward => sql!(
            db.read(),
            fetch_all as EventRow,
            select!(
                "from events e where e.room = $1 and e.position > $2 and e.position < $3 and e.status = 0 order by e.position limit $4"
            ),
            room,
            from,
            to,
            limit
        ),
        Direction::Backward => sql!(
            db.read(),
            fetch_all as EventRow,
            select!(
                "from events e where e.room = $1 and e.position < $2 and e.position > $3 and e.status = 0 order by e.position desc limit $4"
            ),
            room,
            from,
            to,
            limit
        ),
    }
}
