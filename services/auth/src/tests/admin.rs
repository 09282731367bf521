//! What the command line does.

use serde_json::json;

use super::{Harness, on_both};
use crate::{
    AuthError, Config,
    admin::{self, CreateRegistrationToken, CreateUser},
    config::PasswordConfig,
};

fn closed() -> Config {
    Config { password: PasswordConfig::insecure(), ..Config::default() }
}

#[tokio::test]
async fn the_first_token_makes_the_first_administrator() {
    on_both(closed(), |server| async move {
        let token = admin::ensure_bootstrap_token(&server.db).await.unwrap().unwrap();
        assert_eq!(admin::ensure_bootstrap_token(&server.db).await.unwrap().unwrap(), token);
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        let body = json!({ "username": "root", "password": "secret", "auth": auth });
        let reply = server.post("/v3/register", None, body).await.ok();
        assert!(server.authenticate(reply["access_token"].as_str().unwrap()).await.unwrap().admin);
        assert_eq!(admin::ensure_bootstrap_token(&server.db).await.unwrap(), None);
        assert!(admin::list_registration_tokens(&server.db).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn users_and_passwords() {
    on_both(closed(), |server| async move {
        let (config, name) = (closed(), Harness::server_name());
        let bootstrap = admin::ensure_bootstrap_token(&server.db).await.unwrap();
        let new = CreateUser { username: "Root".to_owned(), password: "secret".to_owned(), admin: true };
        let user_id = admin::create_user(&server.db, &config, &name, new.clone()).await.unwrap();
        assert_eq!(user_id, "@root:example.org");
        assert!(bootstrap.is_some() && admin::list_registration_tokens(&server.db).await.unwrap().is_empty());
        let again = admin::create_user(&server.db, &config, &name, new).await;
        assert!(matches!(again, Err(AuthError::UserInUse)));

        let token = server.login("root", json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
        assert!(server.authenticate(&token).await.unwrap().admin);
        let position = server.revocations(-1).await.position;
        let password = || ("other".to_owned(), true);
        admin::reset_password(&server.db, &config, &name, "@root:example.org", password()).await.unwrap();
        assert!(server.authenticate(&token).await.is_err());
        assert_eq!(server.revocations(position).await.revocations[0].user_id, "@root:example.org");
        server.login("root", json!({ "password": "other" })).await.ok();
        let nobody = admin::reset_password(&server.db, &config, &name, "nobody", password()).await;
        assert!(matches!(nobody, Err(AuthError::UnknownUser(_))));
    })
    .await;
}

#[tokio::test]
async fn registration_tokens_have_rules() {
    on_both(closed(), |server| async move {
        for bad in ["", "a b", "a\0", "é", &"x".repeat(65)] {
            let new = CreateRegistrationToken { token: Some(bad.to_owned()), ..Default::default() };
            assert!(matches!(admin::create_registration_token(&server.db, new).await, Err(AuthError::InvalidParam(_))));
        }
        let new = CreateRegistrationToken { token: Some("one".to_owned()), ..Default::default() };
        admin::create_registration_token(&server.db, new.clone()).await.unwrap();
        assert!(admin::create_registration_token(&server.db, new).await.is_err());
        assert!(!admin::revoke_registration_token(&server.db, "two").await.unwrap());
    })
    .await;
}
