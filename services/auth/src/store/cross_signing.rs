//! Tables `cross_signing_keys` and `user_signatures`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CrossSigningRow {
    pub usage: String,
    pub public_key: String,
    pub json: String,
}
from_row!(CrossSigningRow { usage, public_key, json });

/// A key of one of several users.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub user_id: String,
    pub usage: String,
    pub public_key: String,
    pub json: String,
}
from_row!(KeyRow { user_id, usage, public_key, json });

/// A signature of somebody's master key by another user, which only that user sees.
#[derive(Clone, Debug)]
pub(crate) struct SignatureRow {
    pub target_user_id: String,
    pub target_key: String,
    pub key_id: String,
    pub signature: String,
}
from_row!(SignatureRow { target_user_id, target_key, key_id, signature });

/// Locks the account for the transaction: whatever changes its cross-signing keys does this first.
pub(crate) async fn lock_account(tx: &mut Tx, user_id: &str) -> Result<Option<i64>, StoreError> {
    let found = sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "select id from users where user_id = $1 for no key update",
        lite: "select id from users where user_id = $1",
        user_id
    )?;
    Ok(found.map(|(id,)| id))
}

pub(crate) async fn list_keys(tx: &mut Tx, account: i64) -> Result<Vec<CrossSigningRow>, StoreError> {
    sql!(
        tx.ex(),
        fetch_all as CrossSigningRow,
        "select usage, public_key, json from cross_signing_keys where account = $1",
        account
    )
}

/// (user id, public key, JSON) of the master keys of these users.
pub(crate) async fn load_master_keys(
    tx: &mut Tx,
    user_ids: &[&str],
) -> Result<Vec<(String, String, String)>, StoreError> {
    let list = serde_json::Value::from(user_ids).to_string();
    sql!(
        tx.ex(), fetch_all as (String, String, String),
        pg: "select u.user_id, c.public_key, c.json
             from (select json_array_elements_text($1::json) as user_id) w join users u on u.user_id = w.user_id
             join cross_signing_keys c on c.account = u.id and c.usage = 'master'",
        lite: "select u.user_id, c.public_key, c.json from json_each($1) w join users u on u.user_id = w.value
               join cross_signing_keys c on c.account = u.id and c.usage = 'master'",
        list.as_str()
    )
}

/// The keys of these users (a JSON array), those of a user together.
pub(crate) async fn load_keys(db: &Db, user_ids: &str) -> Result<Vec<KeyRow>, StoreError> {
    sql!(
        db.read(), fetch_all as KeyRow,
        pg: "select u.user_id, c.usage, c.public_key, c.json
             from (select json_array_elements_text($1::json) as user_id) w join users u on u.user_id = w.user_id
             join cross_signing_keys c on c.account = u.id order by u.id, c.usage",
        lite: "select u.user_id, c.usage, c.public_key, c.json
               from json_each($1) w join users u on u.user_id = w.value
               join cross_signing_keys c on c.account = u.id order by u.id, c.usage",
        user_ids
    )
}

/// What a user has signed of others.
pub(crate) async fn list_signatures(db: &Db, signer: &str) -> Result<Vec<SignatureRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as SignatureRow,
        "select s.target_user_id, s.target_key, s.key_id, s.signature
         from users u join user_signatures s on s.signer = u.id where u.user_id = $1
         order by s.target_user_id, s.target_key, s.key_id",
        signer
    )
}

pub(crate) async fn upsert_key(tx: &mut Tx, account: i64, row: &CrossSigningRow) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into cross_signing_keys (account, usage, public_key, json) values ($1, $2, $3, $4)
         on conflict (account, usage) do update set public_key = excluded.public_key, json = excluded.json",
        account,
        row.usage.as_str(),
        row.public_key.as_str(),
        row.json.as_str()
    )?;
    Ok(())
}

pub(crate) async fn delete_key(tx: &mut Tx, account: i64, usage: &str) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from cross_signing_keys where account = $1 and usage = $2", account, usage)?;
    Ok(())
}

pub(crate) struct UserSignature<'a> {
    pub signer: i64,
    pub target_user_id: &'a str,
    pub target_key: &'a str,
    pub key_id: &'a str,
    pub signature: &'a str,
}

/// True: it is new.
pub(crate) async fn upsert_signature(tx: &mut Tx, row: &UserSignature<'_>) -> Result<bool, StoreError> {
    let touched = exec!(
        tx.ex(),
        "insert into user_signatures (signer, target_user_id, target_key, key_id, signature)
         values ($1, $2, $3, $4, $5) on conflict (signer, target_user_id, target_key, key_id)
         do update set signature = excluded.signature where user_signatures.signature <> excluded.signature",
        row.signer,
        row.target_user_id,
        row.target_key,
        row.key_id,
        row.signature
    )?;
    Ok(touched > 0)
}

/// The user-signing key that made them is gone.
pub(crate) async fn delete_signatures_by(tx: &mut Tx, signer: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from user_signatures where signer = $1", signer)?;
    Ok(())
}

/// The master key that they are of is gone.
pub(crate) async fn delete_signatures_of(tx: &mut Tx, user_id: &str) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from user_signatures where target_user_id = $1", user_id)?;
    Ok(())
}
