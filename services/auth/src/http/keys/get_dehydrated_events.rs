//! `POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{device_id}/events` —
//! MSC3814, <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>
//!
//! Errors: `M_NOT_FOUND` ← there is none · `M_FORBIDDEN` ← another device · `M_INVALID_PARAM` ← a token of somebody else

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde::Deserialize;
use serde_json::json;

use crate::{error::AuthError, keys::dehydrated, state::Auth};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    next_batch: Option<String>,
}

#[tracing::instrument(name = "auth.http.keys.get_dehydrated_events", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { path_args, body, auth: requester, .. }: Raw<UserAuth>,
) -> Result<RawJson, AuthError> {
    let body: Body = serde_json::from_slice(&body).map_err(|error| AuthError::BadJson(error.to_string()))?;
    let device_id = path_args.first().map_or("", String::as_str);
    let since = body.next_batch.as_deref();
    let (messages, next_batch) = dehydrated::list_events(&auth, &requester.user_id, device_id, since).await?;
    let events: Vec<String> = messages
        .iter()
        .map(|row| {
            format!(r#"{{"type":{},"sender":{},"content":{}}}"#, json!(row.event_type), json!(row.sender), row.content)
        })
        .collect();
    Ok(RawJson(format!(r#"{{"events":[{}],"next_batch":{}}}"#, events.join(","), json!(next_batch)).into()))
}
