//! Keys of devices and users.

pub(super) mod claim_keys;
pub(super) mod delete_dehydrated_device;
pub(super) mod get_dehydrated_device;
pub(super) mod get_dehydrated_events;
pub(super) mod get_keys;
pub(super) mod put_dehydrated_device;
pub(super) mod upload_keys;
pub(super) mod upload_signatures;
pub(super) mod upload_signing_keys;
