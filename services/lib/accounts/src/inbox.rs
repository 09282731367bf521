//! What waits in the to-device inbox of a device; the sync service writes it.

use matrixon_store::{Db, StoreError, from_row, sql};

#[derive(Clone, Debug)]
pub struct MessageRow {
    pub position: i64,
    pub sender: String,
    pub event_type: String,
    /// A JSON object.
    pub content: String,
}
from_row!(MessageRow { position, sender, event_type, content });

/// The messages after a position, the oldest first.
pub async fn list_messages(db: &Db, device: i64, after: i64, limit: i64) -> Result<Vec<MessageRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as MessageRow,
        "select position, sender, event_type, content from to_device
         where device = $1 and position > $2 order by position limit $3",
        device,
        after,
        limit
    )
}
