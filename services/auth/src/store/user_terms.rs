//! Table `user_terms`.

use matrixon_store::{StoreError, Tx, exec};

pub(crate) async fn upsert_accepted(
    tx: &mut Tx,
    account: i64,
    policy: &str,
    version: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into user_terms (account, policy, version, accepted_ts) values ($1, $2, $3, $4)
         on conflict (account, policy) do update set version = excluded.version, accepted_ts = excluded.accepted_ts",
        account,
        policy,
        version,
        now_ms
    )?;
    Ok(())
}
