//! Every SQL statement of the auth service, one module a table.

pub(crate) mod access_tokens;
pub(crate) mod administration;
pub(crate) mod audit;
pub(crate) mod backup_keys;
pub(crate) mod backup_versions;
pub(crate) mod cross_signing;
pub(crate) mod dehydrated_devices;
pub(crate) mod departures;
pub(crate) mod device_keys;
pub(crate) mod device_lists;
pub(crate) mod devices;
pub(crate) mod key_counts;
pub(crate) mod login_tokens;
pub(crate) mod one_time_keys;
pub(crate) mod openid_tokens;
pub(crate) mod profiles;
pub(crate) mod refresh_tokens;
pub(crate) mod registration_tokens;
pub(crate) mod rendezvous_sessions;
pub(crate) mod revocations;
pub(crate) mod spent_refresh_tokens;
pub(crate) mod user_states;
pub(crate) mod users;
