//! Access tokens: to which device they belong.

use matrixon_store::{Db, StoreError, sql};

/// The interned number of the device that a token was given to. It stays the same as long as the token is good.
pub async fn find_device(db: &Db, token_sha256: &[u8; 32]) -> Result<Option<i64>, StoreError> {
    let found = sql!(
        db.read(),
        fetch_optional as (i64,),
        "select device from access_tokens where token_sha256 = $1",
        token_sha256.as_slice()
    )?;
    Ok(found.map(|(device,)| device))
}
