//! SQL of the room service. Only this module names the database.

pub(crate) mod aliases;
pub(crate) mod append;
pub(crate) mod bell;
pub(crate) mod directory;
mod gate;
pub(crate) mod heads;
mod insert;
pub(crate) mod memberships;
mod place;
pub(crate) mod propagations;
pub(crate) mod reports;
pub(crate) mod requests;
pub(crate) mod snapshots;
mod state;
mod writer;

pub(crate) use writer::{EventsWriter, write_batch};
