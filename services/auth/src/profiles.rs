//! Profiles: what may stand in them, who may see them, and the stream that tells of their changes.

pub(crate) mod field;
pub(crate) mod set;
pub(crate) mod stream;
pub(crate) mod visibility;
