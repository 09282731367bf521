//! The read side of rooms: events, state and membership as the room service stored them, for every service that
//! needs them on a hot path. Read-only SQL over tables that `services/room` alone writes.
#![forbid(unsafe_code)]

pub mod events;
mod json;
pub mod members;
pub mod rooms;
pub mod state;
pub mod visibility;

pub use events::{EventRow, Unsigned};
pub use members::{Membership, MembershipRow};
pub use rooms::RoomRow;
pub use visibility::HistoryVisibility;
