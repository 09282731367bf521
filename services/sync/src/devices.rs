//! Which device a request is from.

use std::time::Duration;

use matrixon_http::UserAuth;
use moka::sync::Cache as Memo;

use crate::{
    error::SyncError,
    state::{DeviceNumbers, Shared},
};

pub(crate) fn numbers() -> DeviceNumbers {
    Memo::builder().max_capacity(1_000_000).time_to_idle(Duration::from_mins(10)).build()
}

/// The interned number of the requester's device; 0 if the token is that of none.
pub(crate) async fn number(shared: &Shared, auth: &UserAuth) -> Result<i64, SyncError> {
    if let Some(number) = shared.device_numbers.get(&auth.token_sha256) {
        return Ok(number);
    }
    let found = matrixon_accounts::tokens::find_device(&shared.db, &auth.token_sha256).await?;
    if let Some(number) = found {
        shared.device_numbers.insert(auth.token_sha256, number);
    }
    Ok(found.unwrap_or(0))
}
