//! The user ids that may be registered, and those that a name may mean.

use matrixon_runtime::random;
use ruma::{OwnedUserId, ServerName};

use crate::error::AuthError;

/// Characters of a localpart that we choose: 36^12 of them.
const GENERATED_CHARS: usize = 12;
const MAX_USER_ID_BYTES: usize = 255;

/// Maps a wished username onto a user id: capitals become small letters, everything else must fit the grammar.
/// `M_INVALID_USERNAME` ← empty, too long, a character outside `a-z0-9._=-/+`, or a leading `_` (kept for bridges)
pub(crate) fn build_user_id(username: &str, server_name: &ServerName) -> Result<OwnedUserId, AuthError> {
    let localpart = username.to_ascii_lowercase();
    check_start(&localpart)?;
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'=' | b'-' | b'/' | b'+');
    if !localpart.bytes().all(allowed) {
        return Err(AuthError::InvalidUsername("a username consists of the characters a-z, 0-9 and ._=-/+"));
    }
    join(&localpart, server_name)
}

/// The user id of an account that comes from elsewhere. It stays as it is written, for rooms know it so: it may be
/// [historical](https://spec.matrix.org/v1.19/appendices/#historical-user-ids).
/// `M_INVALID_USERNAME` ← empty, too long, a colon, a character outside printable ASCII, or a leading `_`
pub(crate) fn build_historical_id(localpart: &str, server_name: &ServerName) -> Result<OwnedUserId, AuthError> {
    check_start(localpart)?;
    if !localpart.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(AuthError::InvalidUsername("a user id consists of printable ASCII characters"));
    }
    join(localpart, server_name)
}

fn check_start(localpart: &str) -> Result<(), AuthError> {
    match localpart.bytes().next() {
        None => Err(AuthError::InvalidUsername("a username cannot be empty")),
        Some(b'_') => Err(AuthError::InvalidUsername("a username cannot begin with an underscore")),
        Some(_) => Ok(()),
    }
}

fn join(localpart: &str, server_name: &ServerName) -> Result<OwnedUserId, AuthError> {
    let user_id = format!("@{localpart}:{server_name}");
    if user_id.len() > MAX_USER_ID_BYTES {
        return Err(AuthError::InvalidUsername("a user id has at most 255 bytes"));
    }
    OwnedUserId::try_from(user_id).map_err(|_| AuthError::InvalidUsername("this does not make a user id"))
}

/// A user id for who does not care.
pub(crate) fn generate_user_id(server_name: &ServerName) -> Result<OwnedUserId, AuthError> {
    build_user_id(&random::id(GENERATED_CHARS), server_name)
}

/// What a name may mean, in the order in which it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    /// As it is written: accounts of before may have
    /// [capitals and more](https://spec.matrix.org/v1.19/appendices/#historical-user-ids).
    pub exact: OwnedUserId,
    /// In small letters: phones capitalise the first one.
    pub small: OwnedUserId,
}

/// The accounts that a localpart or a full user id may mean. None: surely not one of ours.
pub(crate) fn find_meant(name: &str, server_name: &ServerName) -> Option<Meant> {
    let localpart = match name.strip_prefix('@') {
        Some(rest) => rest.strip_suffix(server_name.as_str())?.strip_suffix(':')?,
        None => name,
    };
    let user_id = |localpart: &str| {
        let user_id = OwnedUserId::try_from(format!("@{localpart}:{server_name}")).ok()?;
        (user_id.as_str().len() <= MAX_USER_ID_BYTES).then_some(user_id)
    };
    Some(Meant { exact: user_id(localpart)?, small: user_id(&localpart.to_ascii_lowercase())? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruma::server_name;

    use super::*;

    #[test]
    fn usernames() {
        let server = server_name!("example.org");
        assert_eq!(build_user_id("Alice", server).unwrap(), "@alice:example.org");
        assert_eq!(build_user_id("a.b_c=d-e/f+1", server).unwrap(), "@a.b_c=d-e/f+1:example.org");
        for bad in ["", "_bridge", "é", "a b", "a:b", "@a", "a\0b", "ａ", "a\u{202e}b"] {
            assert!(matches!(build_user_id(bad, server), Err(AuthError::InvalidUsername(_))), "{bad:?}");
        }
        assert!(build_user_id(&"a".repeat(255 - 13), server).is_ok());
        assert!(build_user_id(&"a".repeat(255 - 12), server).is_err());
    }

    #[test]
    fn historical_ids() {
        let server = server_name!("example.org");
        for good in ["alice", "Alice", "!O'Brien{1}~", "@#", "a_b", &"X".repeat(255 - 13)] {
            assert_eq!(build_historical_id(good, server).unwrap().localpart(), good);
        }
        for bad in ["", "_Bridge", "a:b", "a b", "é", "a\0b", "a\u{7f}", "ａ", &"X".repeat(255 - 12)] {
            assert!(matches!(build_historical_id(bad, server), Err(AuthError::InvalidUsername(_))), "{bad:?}");
        }
    }

    #[test]
    fn names_mean_themselves_first() {
        let server = server_name!("example.org");
        for (name, exact, small) in [
            ("alice", "@alice:example.org", "@alice:example.org"),
            ("Alice", "@Alice:example.org", "@alice:example.org"),
            ("@ALICE:example.org", "@ALICE:example.org", "@alice:example.org"),
            ("!O'Brien{1}~", "@!O'Brien{1}~:example.org", "@!o'brien{1}~:example.org"),
        ] {
            let meant = find_meant(name, server).unwrap();
            assert_eq!((meant.exact.as_str(), meant.small.as_str()), (exact, small), "{name}");
        }
        let (long, capital) = ("x".repeat(300), "X".repeat(300));
        let elsewhere = ["@Alice:Example.org", "Alice:example.org", "@Alice:elsewhere.org", "@alice:elsewhere.org"];
        for none in elsewhere.into_iter().chain(["@alice", "a:b", "a\0", &long, &capital]) {
            assert_eq!(find_meant(none, server), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_strictly_valid(username in "\\PC{0,300}") {
            if let Ok(user_id) = build_user_id(&username, server_name!("example.org")) {
                prop_assert!(user_id.validate_strict().is_ok());
            }
        }

        #[test]
        fn whatever_is_kept_is_historically_valid(localpart in "[!-~]{0,250}|\\PC{0,300}") {
            if let Ok(user_id) = build_historical_id(&localpart, server_name!("example.org")) {
                prop_assert!(user_id.validate_historical().is_ok());
                prop_assert_eq!(user_id.localpart(), localpart.as_str());
            }
        }
    }
}
