//! A database as a stream of bytes, and back: what `matrixon database backup` and `restore` stand on.
//!
//! PostgreSQL: every table by `COPY` in one `REPEATABLE READ` transaction, so all of it is as of one moment, while everybody
//! goes on writing. SQLite: the file itself, by `VACUUM INTO`, which is one read transaction. Compression, encryption and where
//! the bytes go are the caller's.

mod log;
mod postgres;
mod restore;
mod sqlite;

pub use log::{LastRun, Run, last_run, record_run};
pub use postgres::{Snapshot, Table, count_lines};
pub use restore::Restore;
pub use sqlite::{copy_into, integrity};

use crate::{Db, StoreError, exec, streams::Stream};

/// How far a restored stream jumps ahead: tokens that clients got after the backup must stay in the past, and positions that
/// were given out then must never be given out again for something else. More than a busy server writes in a day.
pub const POSITION_MARGIN: i64 = 10_000_000;

/// After a restore, before anybody is served: moves every stream ahead by [`POSITION_MARGIN`].
pub async fn skip_positions(db: &Db) -> Result<(), StoreError> {
    for stream in Stream::ALL {
        let name = stream.name();
        exec!(
            db.write(),
            "update stream_positions set position = position + $1 where stream = $2",
            POSITION_MARGIN,
            name
        )?;
    }
    Ok(())
}
