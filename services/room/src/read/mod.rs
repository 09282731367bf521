//! Reading rooms: straight from SQL through `lib/rooms`, never from the heads.

pub(crate) mod context;
mod erased;
mod filter;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod present;
pub(crate) mod token;
pub(crate) mod view;
