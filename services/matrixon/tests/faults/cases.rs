//! The faults. Pauses in them are part of the fault: how long something is away.

pub(crate) mod administration;
pub(crate) mod cluster;
pub(crate) mod keys;
pub(crate) mod single;
pub(crate) mod versions;
