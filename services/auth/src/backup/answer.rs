//! Keys on their way back to clients: written page by page, for a backup may have a hundred thousand of them.

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::Value;

use crate::{
    error::AuthError,
    state::Auth,
    store::{
        backup_keys::{self, KeyRow, Selection},
        backup_versions::VersionRow,
    },
};

const PAGE: i64 = 500;

/// A key as clients see it.
pub(crate) fn write_key(row: &KeyRow) -> String {
    let KeyRow { first_message_index, forwarded_count, is_verified, session_data, .. } = row;
    format!(
        r#"{{"first_message_index":{first_message_index},"forwarded_count":{forwarded_count},"is_verified":{is_verified},"session_data":{session_data}}}"#
    )
}

/// The keys of a version as `{"rooms": {…}}`, or of one room as `{"sessions": {…}}`, in pieces.
pub(crate) struct Pages {
    auth: Auth,
    version: VersionRow,
    room_id: Option<String>,
    /// The last key written.
    after: (String, String),
    begun: bool,
    ended: bool,
}

impl Pages {
    pub(super) fn new(auth: Auth, version: VersionRow, room_id: Option<&str>) -> Self {
        let after = (String::new(), String::new());
        Self { auth, version, room_id: room_id.map(str::to_owned), after, begun: false, ended: false }
    }

    /// Nothing follows.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// `first` and all that follows. A failure breaks it off: the client sees that the body is not whole.
    pub(crate) fn into_stream(self, first: Bytes) -> impl Stream<Item = Result<Bytes, AuthError>> {
        stream::try_unfold((Some(first), self), async |(first, mut pages)| match first {
            Some(first) => Ok(Some((first, (None, pages)))),
            None if pages.ended => Ok(None),
            None => Ok(Some((pages.next().await?, (None, pages)))),
        })
    }

    /// The next piece of the JSON.
    pub(crate) async fn next(&mut self) -> Result<Bytes, AuthError> {
        let selection = Selection { room_id: self.room_id.as_deref(), session_id: None };
        let after = (self.after.0.as_str(), self.after.1.as_str());
        let rows = backup_keys::list(&self.auth.db, &self.version, selection, after, PAGE).await?;
        let mut json = String::new();
        if !self.begun {
            json.push_str(if self.room_id.is_some() { r#"{"sessions":{"# } else { r#"{"rooms":{"# });
        }
        for row in &rows {
            self.write(&mut json, row);
        }
        self.begun = true;
        self.ended = rows.len() < PAGE as usize;
        if self.ended {
            let in_room = self.room_id.is_none() && !self.after.0.is_empty();
            json.push_str(if in_room { "}}}}" } else { "}}" });
        }
        Ok(json.into())
    }

    fn write(&mut self, json: &mut String, row: &KeyRow) {
        let first = self.after.0.is_empty();
        if self.room_id.is_none() && self.after.0 != row.room_id {
            json.push_str(if first { "" } else { "}}," });
            json.push_str(&Value::from(row.room_id.as_str()).to_string());
            json.push_str(r#":{"sessions":{"#);
        } else if !first {
            json.push(',');
        }
        json.push_str(&Value::from(row.session_id.as_str()).to_string());
        json.push(':');
        json.push_str(&write_key(row));
        self.after = (row.room_id.clone(), row.session_id.clone());
    }
}
