//! `GetProfiles`: names and avatars of local users.

use matrixon_proto::auth::v1::{GetProfilesRequest, GetProfilesResponse, Profile};

use crate::{
    error::AuthError,
    state::Auth,
    store::users::{self, ProfileRow},
};

const MAX_USERS: usize = 1_000;

/// `M_INVALID_PARAM` ← more than 1,000 users
#[tracing::instrument(name = "auth.rpc.get_profiles", skip_all)]
pub(crate) async fn get_profiles(auth: &Auth, request: GetProfilesRequest) -> Result<GetProfilesResponse, AuthError> {
    // NUL is in no user id, but PostgreSQL refuses the whole list for it
    let user_ids: Vec<String> = request.user_ids.into_iter().filter(|user_id| !user_id.contains('\0')).collect();
    if user_ids.len() > MAX_USERS {
        return Err(AuthError::InvalidParam(format!("at most {MAX_USERS} profiles can be asked for at once")));
    }
    let rows = match user_ids.as_slice() {
        [] => Vec::new(),
        [user_id] => users::find_profile(&auth.db, user_id).await?.into_iter().collect(),
        user_ids => users::load_profiles(&auth.db, user_ids).await?,
    };
    Ok(GetProfilesResponse { profiles: rows.into_iter().map(to_message).collect() })
}

fn to_message(row: ProfileRow) -> Profile {
    Profile { user_id: row.user_id, displayname: row.displayname, avatar_url: row.avatar_url }
}
