//! <https://spec.matrix.org/v1.19/client-server-api/#profiles>
//!
//! By hand where ruma's types would not keep the client's bytes or know its own fields only.

pub(crate) mod delete_profile_field;
pub(crate) mod get_profile;
pub(crate) mod get_profile_field;
pub(crate) mod set_profile_field;

use matrixon_http::{Raw, UserAuth};
use ruma::{OwnedUserId, UserId};

use crate::{error::AuthError, profiles::field::DISPLAYNAME};

/// Since v1.16, earlier for two fields only, and before that MSC4133.
pub(crate) const FIELD_PATHS: [&str; 3] = [
    "/_matrix/client/v3/profile/{user_id}/{key_name}",
    "/_matrix/client/r0/profile/{user_id}/{key_name}",
    "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id}/{key_name}",
];

/// The user and the field that a path names. `M_INVALID_PARAM` ← no user id
fn path_of<A>(request: &Raw<A>) -> Result<(OwnedUserId, &str), AuthError> {
    match &request.path_args[..] {
        [user_id, key] => {
            let user_id = UserId::parse(user_id.as_str())
                .map_err(|_| AuthError::InvalidParam("the path does not name a user".to_owned()))?;
            Ok((user_id, key))
        }
        _ => Err(AuthError::MissingParam("the path names a user and a field")),
    }
}

/// `M_FORBIDDEN` ← not the requester's own profile
fn check_owner(requester: &UserAuth, user_id: &UserId) -> Result<(), AuthError> {
    if requester.user_id == *user_id {
        Ok(())
    } else {
        Err(AuthError::Forbidden("this is the profile of somebody else"))
    }
}

/// `M_GUEST_ACCESS_FORBIDDEN` ← a guest who sets anything but a name
/// <https://spec.matrix.org/v1.19/client-server-api/#guest-access>
fn check_guest(requester: &UserAuth, key: &str) -> Result<(), AuthError> {
    if requester.standing.guest && key != DISPLAYNAME { Err(AuthError::Guest) } else { Ok(()) }
}

/// MSC4069: `false` keeps a change of the name or the avatar out of the user's rooms.
fn propagates<A>(request: &Raw<A>) -> bool {
    let query = request.parts.uri.query().unwrap_or_default();
    !query.split('&').any(|pair| matches!(pair, "propagate=false" | "org.matrix.msc4069.propagate=false"))
}
