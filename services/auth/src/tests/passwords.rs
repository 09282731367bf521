//! Hashes from elsewhere and of other costs.

use serde_json::json;

use super::{Harness, on_both};
use crate::{config::PasswordConfig, store::users, tests::harness::open};

/// "U*U", of Openwall's test vectors.
const BCRYPT: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

async fn set_hash(server: &Harness, hash: &str) {
    let mut tx = server.db.begin().await.unwrap();
    assert!(users::update_password_hash(&mut tx, "@alice:example.org", hash).await.unwrap());
    tx.commit().await.unwrap();
}

async fn hash(server: &Harness) -> String {
    users::find_user(&server.db, "@alice:example.org").await.unwrap().unwrap().password_hash.unwrap()
}

#[tokio::test]
async fn an_account_from_elsewhere_logs_in_and_gets_a_hash_of_ours() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        set_hash(&server, BCRYPT).await;
        server.login("alice", json!({ "password": "U*V" })).await.refused(403, "M_FORBIDDEN");
        assert_eq!(hash(&server).await, BCRYPT);
        server.login("alice", json!({ "password": "U*U" })).await.ok();
        assert!(hash(&server).await.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        server.login("alice", json!({ "password": "U*U" })).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed() {
    on_both(open(), |mut server| async move {
        server.register("alice").await;
        let before = hash(&server).await;
        server.restart(|config| config.password = PasswordConfig { memory_kib: 16, ..config.password.clone() }).await;
        server.login("alice", json!({ "password": "wrong" })).await.refused(403, "M_FORBIDDEN");
        assert_eq!(hash(&server).await, before);
        server.login("alice", json!({})).await.ok();
        assert!(hash(&server).await.starts_with("$argon2id$v=19$m=16,t=1,p=1$"));
        server.login("alice", json!({})).await.ok();
    })
    .await;
}
