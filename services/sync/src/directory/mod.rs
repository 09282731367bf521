//! The user directory: who is found by which name, and by whom.
//! <https://spec.matrix.org/v1.19/client-server-api/#user-directory>
//!
//! Names are [folded](fold) and cut into [entries](index) that are looked up by their beginning. The tables are kept by the
//! durable consumers of [`crate::consumers`]; who shares a room with whom is read from the memberships themselves.

pub(crate) mod fold;
pub(crate) mod index;
pub(crate) mod search;
