//! `POST /_matrix/client/*/user_directory/search` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch>
//! Errors: `M_BAD_JSON` ← a limit that is no number

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::user_directory::search_users::v3::Request;
use serde_json::{Value, json};

use crate::{directory::search::search, error::SyncError, state::Sync, store::directory::DirectoryUser};

#[tracing::instrument(name = "sync.http.user_directory.search_users", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    let limit = usize::try_from(u64::from(req.limit)).unwrap_or(usize::MAX);
    let found = search(&sync, &auth.user_id, &req.search_term, limit).await?;
    let results: Vec<Value> = found.users.into_iter().map(to_result).collect();
    Ok(RawJson(json!({ "results": results, "limited": found.limited }).to_string().into()))
}

fn to_result(user: DirectoryUser) -> Value {
    let mut result = json!({ "user_id": user.user_id });
    for (member, value) in [("display_name", user.displayname), ("avatar_url", user.avatar_url)] {
        if let Some(value) = value {
            result[member] = value.into();
        }
    }
    result
}
