//! SQL of this service: its own tables, and reads over the rooms' tables that answer for many rooms at once.

pub(crate) mod account_data;
pub(crate) mod device_lists;
pub(crate) mod devices;
pub(crate) mod directory;
pub(crate) mod erased;
pub(crate) mod events;
pub(crate) mod filters;
pub(crate) mod memberships;
pub(crate) mod receipts;
pub(crate) mod rooms;
mod rows;
pub(crate) mod to_device;

/// Lists are bound as JSON text: one statement for every length, in both dialects.
fn json_list<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> String {
    serde_json::to_string(&items.into_iter().collect::<Vec<_>>()).expect("numbers and strings are JSON")
}
