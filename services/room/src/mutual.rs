//! Rooms that two users share. <https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms>

use matrixon_rooms::members::{self, Mutual};
use ruma::UserId;

use crate::{error::RoomError, service::Room};

/// Rooms of one answer.
const PAGE: i64 = 100;
/// Before the number of the last room of a page.
const TOKEN: &str = "mr1_";

pub(crate) struct MutualRooms {
    pub(crate) joined: Vec<String>,
    /// Of all of them, not of this page.
    pub(crate) count: i64,
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
    let page = Mutual { after, limit: PAGE + 1 };
    let mut rooms = members::list_mutual(&room.db, requester.as_str(), other.as_str(), page).await?;
    let has_more = rooms.len() as i64 > PAGE;
    rooms.truncate(PAGE as usize);
    let count = if has_more || from.is_some() {
        members::count_mutual(&room.db, requester.as_str(), other.as_str()).await?
    } else {
        rooms.len() as i64
    };
    let next_batch = rooms.last().filter(|_| has_more).map(|(number, _)| format!("{TOKEN}{number}"));
    Ok(MutualRooms { joined: rooms.into_iter().map(|(_, room_id)| room_id).collect(), count, next_batch })
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
