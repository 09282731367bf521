//! Who may see an event: from a column on the event and the reader's memberships over time, never by loading state.
//! <https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility>

use crate::members::Membership;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryVisibility {
    Invited,
    Joined,
    Shared,
    WorldReadable,
}

impl HistoryVisibility {
    /// A missing or unknown value means `shared`, as the specification says.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("invited") => Self::Invited,
            Some("joined") => Self::Joined,
            Some("world_readable") => Self::WorldReadable,
            _ => Self::Shared,
        }
    }

    pub const fn to_column(self) -> i16 {
        match self {
            Self::Invited => 0,
            Self::Joined => 1,
            Self::Shared => 2,
            Self::WorldReadable => 3,
        }
    }

    pub const fn from_column(column: i16) -> Self {
        match column {
            0 => Self::Invited,
            1 => Self::Joined,
            3 => Self::WorldReadable,
            _ => Self::Shared,
        }
    }
}

/// May a reader with these memberships (position and kind, ascending) see the event at `position`?
///
/// The reader's own membership events are always theirs to see. A change of membership counts from the event itself on,
/// so that a leaving member sees their leave, and a joining one their join.
pub fn can_see(position: i64, visibility: HistoryVisibility, memberships: &[(i64, Membership)]) -> bool {
    let at = memberships.partition_point(|(since, _)| *since <= position);
    let current = at.checked_sub(1).map(|index| memberships[index]);
    if current.is_some_and(|(since, _)| since == position) {
        return true; // the reader's own membership event
    }
    let then = current.map(|(_, membership)| membership);
    match visibility {
        HistoryVisibility::WorldReadable => true,
        _ if then == Some(Membership::Join) => true,
        HistoryVisibility::Invited => then == Some(Membership::Invite),
        HistoryVisibility::Joined => false,
        // shared: everything before, once the reader has joined at any later time
        HistoryVisibility::Shared => memberships[at..].iter().any(|(_, membership)| *membership == Membership::Join),
    }
}

/// May anybody join, or does the world read the history? From the JSON of the state events `m.room.join_rules` and
/// `m.room.history_visibility`.
pub fn is_public(join_rules: Option<&str>, history_visibility: Option<&str>) -> bool {
    #[derive(serde::Deserialize)]
    struct Event {
        content: Content,
    }
    #[derive(serde::Deserialize)]
    struct Content {
        join_rule: Option<String>,
        history_visibility: Option<String>,
    }
    let content =
        |json: Option<&str>| json.and_then(|json| serde_json::from_str::<Event>(json).ok()).map(|event| event.content);
    content(join_rules).and_then(|content| content.join_rule).as_deref() == Some("public")
        || content(history_visibility).and_then(|content| content.history_visibility).as_deref()
            == Some("world_readable")
}

#[cfg(test)]
mod tests {
    use super::{HistoryVisibility::*, Membership::*, can_see, is_public};

    #[test]
    fn a_room_is_public_by_either_rule() {
        let rules = |rule: &str| format!(r#"{{"type":"m.room.join_rules","content":{{"join_rule":{rule}}}}}"#);
        let history = |word: &str| format!(r#"{{"content":{{"history_visibility":"{word}"}}}}"#);
        assert!(is_public(Some(&rules("\"public\"")), None));
        assert!(is_public(Some(&rules("\"invite\"")), Some(&history("world_readable"))));
        assert!(!is_public(Some(&rules("\"knock\"")), Some(&history("shared"))));
        assert!(!is_public(Some(&rules("7")), Some("{}")));
        assert!(!is_public(None, None));
    }

    #[test]
    fn follows_the_table_of_the_specification() {
        let history = [(10, Invite), (20, Join), (30, Leave)];
        for (position, visibility, expected) in [
            (5, Shared, true),
            (5, Invited, false),
            (5, Joined, false),
            (5, WorldReadable, true),
            (15, Shared, true),
            (15, Invited, true),
            (15, Joined, false),
            (25, Shared, true),
            (25, Invited, true),
            (25, Joined, true),
            (30, Joined, true),
            (35, Shared, false),
            (35, Invited, false),
            (35, Joined, false),
            (35, WorldReadable, true),
        ] {
            assert_eq!(can_see(position, visibility, &history), expected, "{position} {visibility:?}");
        }
    }

    #[test]
    fn a_stranger_sees_only_what_the_world_reads() {
        assert!(!can_see(1, Shared, &[]));
        assert!(can_see(1, WorldReadable, &[]));
        assert!(!can_see(1, Shared, &[(2, Invite)]));
    }
}
