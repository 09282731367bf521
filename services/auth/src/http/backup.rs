//! Server-side backup of room keys.

pub(super) mod add_backup_keys;
pub(super) mod add_backup_keys_for_room;
pub(super) mod add_backup_keys_for_session;
pub(super) mod create_backup_version;
pub(super) mod delete_backup_keys;
pub(super) mod delete_backup_keys_for_room;
pub(super) mod delete_backup_keys_for_session;
pub(super) mod delete_backup_version;
pub(super) mod get_backup_info;
pub(super) mod get_backup_keys;
pub(super) mod get_backup_keys_for_room;
pub(super) mod get_backup_keys_for_session;
pub(super) mod get_latest_backup_info;
pub(super) mod update_backup_version;

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use matrixon_http::{RawJson, RawResponse};
use serde_json::json;

use super::to_json;
use crate::{
    backup::keys::{Pages, State},
    error::AuthError,
};

fn state_answer(state: State) -> Result<RawJson, AuthError> {
    Ok(RawJson(to_json(&json!({ "etag": state.etag.to_string(), "count": state.count }))?))
}

/// One page is sent whole, more of them as the client reads.
async fn pages_answer(mut pages: Pages) -> Result<RawResponse, AuthError> {
    let first = pages.next().await?;
    let body = if pages.ended() { Body::from(first) } else { Body::from_stream(pages.into_stream(first)) };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(RawResponse(response))
}
