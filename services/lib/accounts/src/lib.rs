//! The read side of accounts: devices, device-list changes, counts of one-time keys, as the auth service stored them, for
//! the services that need them on a hot path. Read-only SQL over tables that `services/auth` alone writes.
#![forbid(unsafe_code)]

pub mod departures;
pub mod device_lists;
pub mod devices;
pub mod inbox;
pub mod one_time_keys;
pub mod profiles;
pub mod standing;
pub mod tokens;
