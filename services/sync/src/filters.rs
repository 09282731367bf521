//! Filters by id (kept for ever, so compiled once) and inline.

use std::sync::Arc;

use ruma::api::client::{filter::FilterDefinition, sync::sync_events::v3::Filter};
use sha2::{Digest as _, Sha256};

use crate::{
    error::SyncError,
    filter::{self, SyncFilter},
    state::Shared,
    store,
};

pub(crate) async fn find(
    shared: &Shared,
    user_id: &Arc<str>,
    wanted: Option<&Filter>,
) -> Result<Arc<SyncFilter>, SyncError> {
    match wanted {
        None => Ok(Arc::default()),
        Some(Filter::FilterDefinition(definition)) => {
            filter::check(definition)?;
            Ok(Arc::new(SyncFilter::compile(definition)))
        }
        Some(Filter::FilterId(id)) if id.is_empty() => Ok(Arc::default()),
        Some(Filter::FilterId(id)) => find_stored(shared, user_id, id).await,
        Some(_) => Err(SyncError::InvalidParam("this is not a filter")),
    }
}

const UNKNOWN: SyncError = SyncError::InvalidParam("there is no filter of this id");

async fn find_stored(shared: &Shared, user_id: &Arc<str>, id: &str) -> Result<Arc<SyncFilter>, SyncError> {
    if id.trim_start().starts_with('{') {
        return Err(SyncError::BadJson("`filter` is not a filter".to_owned()));
    }
    let key = (user_id.clone(), id.parse().map_err(|_| UNKNOWN)?);
    if let Some(filter) = shared.filters.get(&key) {
        return Ok(filter);
    }
    let text = Box::pin(store::filters::find(&shared.db, user_id, key.1)).await?.ok_or(UNKNOWN)?;
    let definition = serde_json::from_str::<FilterDefinition>(&text).map_err(|error| {
        tracing::error!(%error, "a stored filter cannot be read");
        SyncError::InvalidParam("the stored filter cannot be read")
    })?;
    let filter = Arc::new(SyncFilter::compile(&definition));
    shared.filters.insert(key, filter.clone());
    Ok(filter)
}

/// Stores the filter as the client wrote it and returns its id.
pub(crate) async fn store(shared: &Shared, user_id: &str, body: &[u8]) -> Result<i64, SyncError> {
    let text = std::str::from_utf8(body).map_err(|_| SyncError::BadJson("not UTF-8".to_owned()))?;
    let id = store::filters::insert(&shared.db, user_id, &Sha256::digest(body), text).await?;
    id.ok_or(SyncError::TooLarge("this user has too many filters"))
}
