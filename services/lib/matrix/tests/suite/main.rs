//! The rules on whole rooms: built, signed, checked, redacted, and read back.

mod auth;
mod building;
mod timeline;
mod vectors;
