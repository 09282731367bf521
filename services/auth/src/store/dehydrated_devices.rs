//! Table `dehydrated_devices`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DehydratedRow {
    pub device: i64,
    pub device_id: String,
    /// JSON
    pub device_data: String,
}
from_row!(DehydratedRow { device, device_id, device_data });

const SELECT: &str = "select h.device, d.device_id, h.device_data from users u
     join dehydrated_devices h on h.account = u.id join devices d on d.id = h.device where u.user_id = $1";

pub(crate) async fn find(db: &Db, user_id: &str) -> Result<Option<DehydratedRow>, StoreError> {
    sql!(db.read(), fetch_optional as DehydratedRow, SELECT, user_id)
}

pub(crate) async fn find_in(tx: &mut Tx, user_id: &str) -> Result<Option<DehydratedRow>, StoreError> {
    sql!(tx.ex(), fetch_optional as DehydratedRow, SELECT, user_id)
}

pub(crate) async fn insert(tx: &mut Tx, account: i64, device: i64, device_data: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into dehydrated_devices (account, device, device_data) values ($1, $2, $3)",
        account,
        device,
        device_data
    )?;
    Ok(())
}
