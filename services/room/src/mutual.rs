//! Rooms that two users share. <https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms>

use matrixon_rooms::{members, rooms};
use ruma::UserId;

use crate::{error::RoomError, service::Room};

/// Rooms of one answer.
const PAGE: usize = 100;
/// Before the number of the last room of a page.
const TOKEN: &str = "mr1_";

pub(crate) struct MutualRooms {
    pub(crate) joined: Vec<String>,
    /// Of all of them, not of this page.
    pub(crate) count: usize,
    pub(crate) next_batch: Option<String>,
}

/// `M_INVALID_PARAM` ← oneself, or a token that is none
pub(crate) async fn mutual_rooms(
    room: &Room,
    requester: &UserId,
    other: &UserId,
    from: Option<&str>,
) -> Result<MutualRooms, RoomError> {
    if requester == other {
        return Err(RoomError::InvalidParam("`user_id` must be somebody else".to_owned()));
    }
    let after = from.map(parse_token).transpose()?.unwrap_or(0);
    let all = members::list_mutual(&room.db, requester.as_str(), other.as_str()).await?;
    let first = all.partition_point(|number| *number <= after);
    let page: Vec<i64> = all[first..].iter().copied().take(PAGE).collect();
    let has_more = all.len() - first > PAGE;
    let next_batch = page.last().filter(|_| has_more).map(|number| format!("{TOKEN}{number}"));
    let mut rows = rooms::load_rooms(&room.db, &page).await?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(MutualRooms { joined: rows.into_iter().map(|row| row.room_id).collect(), count: all.len(), next_batch })
}

fn parse_token(token: &str) -> Result<i64, RoomError> {
    let number = token.strip_prefix(TOKEN).and_then(|number| number.parse::<i64>().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| RoomError::InvalidParam("`from` is not a token of this endpoint".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse_token;

    #[test]
    fn only_own_tokens_are_taken() {
        assert_eq!(parse_token("mr1_42").unwrap(), 42);
        for token in ["", "42", "mr1_", "mr1_-1", "mr1_0", "m1_1_2_3_4", "mr1_99999999999999999999"] {
            assert!(parse_token(token).is_err(), "{token}");
        }
    }
}
