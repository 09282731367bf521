//! Events as one user gets them: the stored JSON with that user's `unsigned`.

use std::collections::HashMap;

use matrixon_http::UserAuth;
use matrixon_rooms::{EventRow, Unsigned, events};

use super::{erased::hide, view::View};
use crate::{error::RoomError, service::Room};

/// What [`present`] needs besides the events: what they replaced, and what redacted them.
struct Related(HashMap<i64, EventRow>);

impl Related {
    async fn load<'a>(room: &Room, rows: impl Iterator<Item = &'a EventRow>) -> Result<Self, RoomError> {
        let positions: Vec<i64> = rows.flat_map(|row| [row.replaces, row.redacted_by]).flatten().collect();
        let rows = events::load_by_positions(&room.db, &positions).await?;
        Ok(Self(rows.into_iter().map(|row| (row.position, row)).collect()))
    }
}

/// The client JSON of each event.
pub(crate) async fn present(
    room: &Room,
    auth: &UserAuth,
    view: &View,
    rows: &[EventRow],
) -> Result<Vec<String>, RoomError> {
    let rows = hide(room, view, rows).await?;
    let related = Related::load(room, rows.iter()).await?;
    let now = room.clock.now_ms();
    Ok(rows
        .iter()
        .map(|row| {
            let redaction = row.redacted_by.and_then(|position| related.0.get(&position));
            row.client_json(&Unsigned {
                age_ms: Some((now - row.origin_server_ts).max(0)),
                transaction_id: row.transaction_id_for(auth.user_id.as_str(), auth.device_id.as_str()),
                replaced: row.replaces.and_then(|position| related.0.get(&position)),
                redacted_because: redaction.map(|redaction| redaction.json.as_str()),
                membership: Some(view.membership_at(row.position).as_str()),
            })
        })
        .collect())
}

/// `[event, …]`
pub(crate) fn array(events: &[String]) -> String {
    let mut out = String::with_capacity(2 + events.iter().map(|event| event.len() + 1).sum::<usize>());
    out.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(event);
    }
    out.push(']');
    out
}

/// `{"name": json, …}` of members that are JSON already; those that are None are left out.
pub(crate) fn object(members: &[(&str, Option<String>)]) -> bytes::Bytes {
    let mut out = String::from("{");
    for (name, json) in members {
        let Some(json) = json else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        out.push_str(json);
    }
    out.push('}');
    out.into()
}

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
