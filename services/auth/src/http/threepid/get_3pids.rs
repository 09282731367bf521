//! `GET /_matrix/client/*/account/3pid` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid>

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::account::get_3pids::v3;
use serde_json::{Value, json};

use crate::{error::AuthError, http::to_json, state::Auth, store::threepids::list_threepids};

#[tracing::instrument(name = "auth.http.threepid.get_3pids", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let rows = list_threepids(&auth.db, requester.user_id.as_str()).await?;
    let one = |row: &crate::store::threepids::ThreepidRow| json!({ "medium": row.medium, "address": row.address, "validated_at": row.validated_ts, "added_at": row.added_ts });
    let threepids: Vec<Value> = rows.iter().map(one).collect();
    Ok(RawJson(to_json(&json!({ "threepids": threepids }))?))
}
