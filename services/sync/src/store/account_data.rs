//! Table `account_data` and its stream.

use matrixon_store::{Db, StoreError, Tx, exec, sql, streams::Stream};

use crate::{live::items::AccountData, token::Token};

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

/// Writes rows and gives them the next positions, in order; the first is returned.
pub(crate) async fn append(tx: &mut Tx, items: &[AccountData]) -> Result<i64, StoreError> {
    // the counter's lock comes before the rows': two batches that change one key wait in one order
    let first = tx.advance(Stream::ACCOUNT_DATA, items.len()).await?;
    for (position, item) in (first..).zip(items) {
        let content = String::from_utf8_lossy(&item.content);
        exec!(
            tx.ex(),
            "insert into account_data (position, user_id, room_id, data_type, content) values ($1, $2, $3, $4, $5)
             on conflict (user_id, room_id, data_type)
             do update set position = excluded.position, content = excluded.content",
            position,
            &*item.user_id,
            &*item.room_id,
            &*item.data_type,
            &*content
        )?;
    }
    Ok(first)
}
