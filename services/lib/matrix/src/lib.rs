//! The rules of Matrix as pure functions: room versions, canonical JSON, building, hashing, signing and redacting events,
//! authorization. No I/O, no clock, no async: callers load, these decide.
#![forbid(unsafe_code)]

pub mod auth;
pub mod build;
pub mod canonical;
pub mod keys;
pub mod pdu;
pub mod power_levels;
pub mod redact;
pub mod version;

pub use auth::{Rejection, StateLookup};
pub use build::{BuildError, Built, EventContext, NewEvent, Signer};
pub use canonical::ContentError;
pub use pdu::{Pdu, PduError};
pub use version::RoomVersion;
