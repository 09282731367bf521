//! Appending events to rooms.

pub(crate) mod append;
mod locked;
pub(crate) mod redact;
pub(crate) mod send;
