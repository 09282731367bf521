//! Appending events to rooms.

pub(crate) mod append;
pub(crate) mod draft;
mod locked;
pub(crate) mod redact;
pub(crate) mod send;
