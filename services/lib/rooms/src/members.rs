//! Who is in which room.

use std::collections::HashSet;

use matrixon_store::{Db, StoreError, from_row, sql};

use crate::json::json_list;

/// <https://spec.matrix.org/v1.19/client-server-api/#room-membership>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    Join,
    Invite,
    Leave,
    Ban,
    Knock,
}

impl Membership {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Ban => "ban",
            Self::Knock => "knock",
        }
    }

    /// Unknown words count as `leave`: they give no right.
    pub fn parse(text: &str) -> Self {
        match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "ban" => Self::Ban,
            "knock" => Self::Knock,
            _ => Self::Leave,
        }
    }
}

/// One user's place in one room, with the room's ids.
#[derive(Clone, Debug)]
pub struct MembershipRow {
    pub user_id: String,
    pub room: i64,
    pub room_id: String,
    pub membership: String,
    /// Position of the membership event.
    pub event: i64,
    pub sender: String,
    pub forgotten: bool,
}

from_row!(MembershipRow { user_id, room, room_id, membership, event, sender, forgotten });

impl MembershipRow {
    pub fn kind(&self) -> Membership {
        Membership::parse(&self.membership)
    }
}

macro_rules! select_members {
    ($rest:literal) => {
        concat!(
            "select m.user_id, m.room, r.room_id, m.membership, m.event, m.sender, m.forgotten ",
            "from memberships m join rooms r on r.id = m.room ",
            $rest
        )
    };
}

/// Every room that the user has or had to do with, forgotten ones too.
pub async fn list_for_user(db: &Db, user_id: &str) -> Result<Vec<MembershipRow>, StoreError> {
    sql!(db.read(), fetch_all as MembershipRow, select_members!("where m.user_id = $1 order by m.event"), user_id)
}

pub async fn find(db: &Db, room: i64, user_id: &str) -> Result<Option<MembershipRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as MembershipRow,
        select_members!("where m.user_id = $1 and m.room = $2"),
        user_id,
        room
    )
}

pub async fn list_in_room(db: &Db, room: i64, membership: Membership) -> Result<Vec<MembershipRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as MembershipRow,
        select_members!("where m.room = $1 and m.membership = $2 order by m.event"),
        room,
        membership.as_str()
    )
}

/// Is there a room in which both are?
pub async fn share_room(db: &Db, user_id: &str, other: &str) -> Result<bool, StoreError> {
    Ok(!list_mutual(db, user_id, other).await?.is_empty())
}

/// Numbers of the rooms in which both are, ascending.
pub async fn list_mutual(db: &Db, user_id: &str, other: &str) -> Result<Vec<i64>, StoreError> {
    let rows = list_joined_by(db, &[user_id, other]).await?;
    let theirs: HashSet<i64> = rows.iter().filter(|row| row.0 == other).map(|row| row.1).collect();
    let mut mutual: Vec<i64> =
        rows.iter().filter(|row| row.0 == user_id && theirs.contains(&row.1)).map(|row| row.1).collect();
    mutual.sort_unstable();
    Ok(mutual)
}

/// `(user, number of a room in which they are)`, in no particular order.
///
/// Written so that only the index by user serves: whatever the planner thinks of the tables' sizes, the rows are
/// found by user, never by walking through all members of a room.
pub async fn list_joined_by(db: &Db, user_ids: &[&str]) -> Result<Vec<(String, i64)>, StoreError> {
    sql!(
        db.read(), fetch_all as (String, i64),
        pg: "select user_id, room from memberships
             where user_id = any(array(select json_array_elements_text($1::json))) and membership || '' = 'join'",
        lite: "select user_id, room from memberships
               where user_id in (select value from json_each($1)) and membership || '' = 'join'",
        json_list(user_ids)
    )
}

/// A page of rooms: those whose number is greater than `after`.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub after: i64,
    pub limit: i64,
}

/// Rooms (number and id) in which the user is, by number.
pub async fn list_joined(db: &Db, user_id: &str, page: Page) -> Result<Vec<(i64, String)>, StoreError> {
    sql!(
        db.read(),
        fetch_all as (i64, String),
        "select r.id, r.room_id from memberships m join rooms r on r.id = m.room
         where m.user_id = $1 and m.membership = 'join' and m.room > $2 order by m.room limit $3",
        user_id,
        page.after,
        page.limit
    )
}

/// Has any room ever had to do with the user?
pub async fn is_known(db: &Db, user_id: &str) -> Result<bool, StoreError> {
    let row =
        sql!(db.read(), fetch_optional as (i64,), "select room from memberships where user_id = $1 limit 1", user_id)?;
    Ok(row.is_some())
}

/// (joined, invited)
pub async fn count(db: &Db, room: i64) -> Result<(i64, i64), StoreError> {
    sql!(
        db.read(),
        fetch_one as (i64, i64),
        "select coalesce(sum(case when membership = 'join' then 1 else 0 end), 0),
                coalesce(sum(case when membership = 'invite' then 1 else 0 end), 0)
         from memberships where room = $1 and membership in ('join', 'invite')",
        room
    )
}

/// The user's memberships over time, ascending: what history visibility is decided from.
pub async fn history(db: &Db, room: i64, user_id: &str) -> Result<Vec<(i64, Membership)>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (i64, Option<String>),
        "select position, membership from events
         where room = $1 and event_type = 'm.room.member' and state_key = $2 and status = 0 order by position",
        room,
        user_id
    )?;
    Ok(rows.into_iter().map(|(at, word)| (at, Membership::parse(word.as_deref().unwrap_or_default()))).collect())
}
