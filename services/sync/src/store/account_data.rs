//! Table `account_data` and its stream.

use bytes::Bytes;
use matrixon_store::{Db, StoreError, Tx, exec, sql, streams::Stream};
use serde_json::{Map, Value};

use crate::{live::items::AccountData, token::Token};

/// A change of what a user keeps under one key.
#[derive(Clone, Debug)]
pub(crate) struct NewAccountData {
    pub(crate) user_id: Box<str>,
    /// Empty: global.
    pub(crate) room_id: Box<str>,
    pub(crate) data_type: Box<str>,
    pub(crate) change: Change,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Replace(Bytes),
    /// One tag among others, with its information, or gone.
    Tag(Box<str>, Option<Value>),
}

impl Change {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Replace(content) => content.len(),
            Self::Tag(tag, _) => 256 + tag.len(),
        }
    }
}

type Row = (i64, String, String, String, String);

fn item((position, user_id, room_id, data_type, content): Row) -> AccountData {
    AccountData {
        position,
        user_id: user_id.into(),
        room_id: room_id.into(),
        data_type: data_type.into(),
        content: content.into(),
    }
}

pub(crate) async fn find(db: &Db, user_id: &str, room_id: &str, data_type: &str) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select content from account_data where user_id = $1 and room_id = $2 and data_type = $3",
        user_id,
        room_id,
        data_type
    )?;
    Ok(row.map(|row| row.0))
}

/// What a user has in (after, head], and that head.
pub(crate) async fn list_for_user(db: &Db, user_id: &str, after: i64) -> Result<(i64, Vec<AccountData>), StoreError> {
    type Joined = (i64, Option<i64>, Option<String>, Option<String>, Option<String>);
    let rows = sql!(
        db.read(),
        fetch_all as Joined,
        "select s.position, a.position, a.room_id, a.data_type, a.content
         from stream_positions s left join account_data a on a.user_id = $1 and a.position > $2
         where s.stream = 'account_data' order by a.position",
        user_id,
        after
    )?;
    let head = rows.first().map_or(0, |row| row.0);
    let items = rows.into_iter().filter_map(|(_, position, room_id, data_type, content)| {
        Some(item((position?, user_id.to_owned(), room_id?, data_type?, content?)))
    });
    Ok((head, items.collect()))
}

/// Everything a user has, and the heads of all streams at that moment: what a first sync begins with, in one statement.
pub(crate) async fn list_with_heads(db: &Db, user_id: &str) -> Result<(Token, Vec<AccountData>), StoreError> {
    type Joined = (String, i64, Option<i64>, Option<String>, Option<String>, Option<String>);
    let rows = sql!(
        db.read(),
        fetch_all as Joined,
        "select s.stream, s.position, a.position, a.room_id, a.data_type, a.content
         from stream_positions s left join account_data a on s.stream = 'account_data' and a.user_id = $1
         order by a.position",
        user_id
    )?;
    let (mut heads, mut items) = (Token::default(), Vec::new());
    for (stream, head, position, room_id, data_type, content) in rows {
        match stream.as_str() {
            "events" => heads.events = head,
            "receipts" => heads.receipts = head,
            "account_data" => heads.account_data = head,
            "to_device" => heads.to_device = head,
            "device_lists" => heads.device_lists = head,
            "key_counts" => heads.key_counts = head,
            _ => {}
        }
        if let (Some(position), Some(room_id), Some(data_type), Some(content)) = (position, room_id, data_type, content)
        {
            items.push(item((position, user_id.to_owned(), room_id, data_type, content)));
        }
    }
    Ok((heads, items))
}

/// The whole stream in (after, upto], ascending. Positions whose row was replaced since are absent.
pub(crate) async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<AccountData>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as Row,
        "select position, user_id, room_id, data_type, content from account_data
         where position > $1 and position <= $2 order by position",
        after,
        upto
    )?;
    Ok(rows.into_iter().map(item).collect())
}

/// Writes rows and gives them the next positions, in order. Returned are the positions, and what the contents are now.
pub(crate) async fn append(tx: &mut Tx, items: &[NewAccountData]) -> Result<Vec<(i64, Bytes)>, StoreError> {
    // the counter's lock comes before the rows': two batches that change one key wait in one order
    let first = tx.advance(Stream::ACCOUNT_DATA, items.len()).await?;
    let mut written = Vec::with_capacity(items.len());
    for (position, item) in (first..).zip(items) {
        let content = match &item.change {
            Change::Replace(content) => content.clone(),
            Change::Tag(tag, info) => retag(&find_in(tx, item).await?, tag, info.as_ref())?,
        };
        exec!(
            tx.ex(),
            "insert into account_data (position, user_id, room_id, data_type, content) values ($1, $2, $3, $4, $5)
             on conflict (user_id, room_id, data_type)
             do update set position = excluded.position, content = excluded.content",
            position,
            &*item.user_id,
            &*item.room_id,
            &*item.data_type,
            &*String::from_utf8_lossy(&content)
        )?;
        written.push((position, content));
    }
    Ok(written)
}

async fn find_in(tx: &mut Tx, item: &NewAccountData) -> Result<String, StoreError> {
    let row = sql!(
        tx.ex(),
        fetch_optional as (String,),
        "select content from account_data where user_id = $1 and room_id = $2 and data_type = $3",
        &*item.user_id,
        &*item.room_id,
        &*item.data_type
    )?;
    Ok(row.map(|(content,)| content).unwrap_or_default())
}

/// `m.tag` with one tag set or removed. Whatever a client has written there that is not the object it should be gives way.
fn retag(content: &str, tag: &str, info: Option<&Value>) -> Result<Bytes, StoreError> {
    let mut content: Map<String, Value> = serde_json::from_str(content).unwrap_or_default();
    let tags = content.entry("tags").or_insert_with(|| Value::Object(Map::new()));
    if !tags.is_object() {
        *tags = Value::Object(Map::new());
    }
    if let Value::Object(tags) = tags {
        match info {
            Some(info) => tags.insert(tag.to_owned(), info.clone()),
            None => tags.remove(tag),
        };
    }
    let content = serde_json::to_vec(&content).map_err(|error| StoreError::inconsistent("account_data", error))?;
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_tag_changes_and_the_others_stay() {
        let retagged = |content: &str, tag, info: Option<Value>| {
            serde_json::from_slice::<Value>(&retag(content, tag, info.as_ref()).unwrap()).unwrap()
        };
        let info = Some(json!({ "order": 0.5 }));
        assert_eq!(retagged("", "u.a", info.clone()), json!({ "tags": { "u.a": { "order": 0.5 } } }));
        let two = r#"{"tags":{"u.a":{},"u.b":{"x":1}},"other":7}"#;
        assert_eq!(retagged(two, "u.a", None), json!({ "tags": { "u.b": { "x": 1 } }, "other": 7 }));
        assert_eq!(retagged(two, "u.c", None), serde_json::from_str::<Value>(two).unwrap());
        assert_eq!(retagged(r#"{"tags":[]}"#, "u.a", info), json!({ "tags": { "u.a": { "order": 0.5 } } }));
    }
}
