//! What the command line does before there is anybody to ask.

use matrixon_store::sql;
use serde_json::json;

use super::on_both;
use crate::{Config, admin::ensure_bootstrap_token, config::PasswordConfig};

fn closed() -> Config {
    Config { password: PasswordConfig::insecure(), ..Config::default() }
}

#[tokio::test]
async fn the_first_token_makes_the_first_administrator() {
    on_both(closed(), |server| async move {
        let token = ensure_bootstrap_token(&server.db).await.unwrap().unwrap();
        assert_eq!(ensure_bootstrap_token(&server.db).await.unwrap().unwrap(), token);
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        let body = json!({ "username": "root", "password": "secret", "auth": auth });
        let reply = server.post("/v3/register", None, body).await.ok();
        assert!(server.authenticate(reply["access_token"].as_str().unwrap()).await.unwrap().admin);
        assert_eq!(ensure_bootstrap_token(&server.db).await.unwrap(), None);
        let left = sql!(server.db.read(), fetch_all as (String,), "select token from registration_tokens").unwrap();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}
