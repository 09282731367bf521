//! Every SQL statement of the auth service, one module a table.

pub(crate) mod access_tokens;
pub(crate) mod administration;
pub(crate) mod audit;
pub(crate) mod backup_keys;
pub(crate) mod backup_versions;
pub(crate) mod claims;
pub(crate) mod cross_signing;
pub(crate) mod dehydrated_devices;
pub(crate) mod departures;
pub(crate) mod device_keys;
pub(crate) mod device_lists;
pub(crate) mod devices;
pub(crate) mod earlier_keys;
pub(crate) mod key_counts;
pub(crate) mod login_tokens;
pub(crate) mod mail_queue;
pub(crate) mod one_time_keys;
pub(crate) mod openid_tokens;
pub(crate) mod profiles;
pub(crate) mod refresh_tokens;
pub(crate) mod registration_tokens;
pub(crate) mod rendezvous_sessions;
pub(crate) mod reports;
pub(crate) mod revocations;
pub(crate) mod spent_refresh_tokens;
pub(crate) mod threepids;
pub(crate) mod user_states;
pub(crate) mod user_terms;
pub(crate) mod users;
pub(crate) mod validations;

use matrixon_store::StoreError;

/// Until there is less than a batch to delete.
pub(crate) async fn batches<F: Future<Output = Result<u64, StoreError>>>(
    size: i64,
    delete: impl Fn(i64) -> F,
) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let deleted = delete(size).await?;
        total += deleted;
        if deleted < size.unsigned_abs() {
            return Ok(total);
        }
    }
}
