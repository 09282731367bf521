//! The first client API: deprecated since r0, still in the specification.

pub(super) mod get_events;
pub(super) mod initial_sync;
pub(super) mod room_initial_sync;

use matrixon_http::{Raw, UserAuth};
use serde::de::DeserializeOwned;

use crate::error::SyncError;

/// Messages of a room when the request does not say, as Synapse has it.
const DEFAULT_LIMIT: usize = 10;

/// `M_INVALID_PARAM` ← a parameter is not what it should be
fn query<Q: DeserializeOwned>(request: &Raw<UserAuth>) -> Result<Q, SyncError> {
    let text = request.parts.uri.query().unwrap_or_default();
    serde_html_form::from_str(text).map_err(|_| SyncError::InvalidParam("a parameter of the query cannot be read"))
}
