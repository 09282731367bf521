//! Server-side backup of room keys, which clients encrypt:
//! <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

mod answer;
pub(crate) mod keys;
pub(crate) mod versions;
