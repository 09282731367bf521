//! Forgotten and changed passwords.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, unique},
    tests,
};
use serde_json::json;

use super::{LOGIN, Lab, REGISTER, Shared, creds, expect_ended, mailbox, strong};
use crate::env::expect_error;

tests![Lab: a_forgotten_password_is_reset_by_mail, resets_are_for_one_use, the_policy_is_told_and_kept,
    a_change_ends_other_sessions];

const CHANGE: &str = "/_matrix/client/v3/account/password";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn a_forgotten_password_is_reset_by_mail(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    let nobody = lab.nobody();
    let mut body = json!({ "new_password": strong("reset") });
    let reply = nobody.request(Method::POST, CHANGE, Some(&body)).await?;
    let session = Lab::challenged(&reply);
    assert_eq!(reply.body["flows"], json!([{ "stages": ["m.login.email.identity"] }]));
    let sid = lab.ask("account/password", &email, "s3cret", 1).await?;
    body["auth"] =
        json!({ "type": "m.login.email.identity", "session": session, "threepid_creds": creds(&sid, "s3cret") });
    Lab::challenged(&nobody.request(Method::POST, CHANGE, Some(&body)).await?);
    let mail = lab.mailbox.wait_for(&email, 2).await?.remove(1);
    assert!(mail["subject"].as_str().is_some_and(|subject| subject.starts_with("Reset your password")), "{mail}");
    // opening the page is not pressing the button
    let page = format!("{}?token={}", super::CONFIRM, mailbox::token(&mail));
    assert_eq!(nobody.request(Method::GET, &page, None).await?.status, 200);
    Lab::challenged(&nobody.request(Method::POST, CHANGE, Some(&body)).await?);
    lab.follow(&mail).await?;
    nobody.post(CHANGE, &body).await?;
    assert_eq!(lab.login(&alice.user_id, &strong("reset")).await?.status, 200);
    expect_error(&lab.login(&alice.user_id, &strong("first")).await?, 403, "M_FORBIDDEN");
    // whoever knew the old password is out
    expect_ended(&alice).await
}

async fn resets_are_for_one_use(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    let sid = lab.ask("account/password", &email, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&email, 2).await?.remove(1);
    lab.follow(&mail).await?;
    let reset = |password: &str, secret: &str| {
        let auth = json!({ "type": "m.login.email.identity", "threepid_creds": creds(&sid, secret) });
        json!({ "new_password": strong(password), "logout_devices": false, "auth": auth })
    };
    let nobody = lab.nobody();
    Lab::challenged(&nobody.request(Method::POST, CHANGE, Some(&reset("x", "guess"))).await?);
    nobody.post(CHANGE, &reset("second", "s3cret")).await?;
    alice.get(WHOAMI).await?;
    Lab::challenged(&nobody.request(Method::POST, CHANGE, Some(&reset("third", "s3cret"))).await?);
    assert_eq!(lab.login(&alice.user_id, &strong("second")).await?.status, 200);
    // and the link leads nowhere any more
    assert_eq!(lab.follow(&mail).await?.status, 400);
    Ok(())
}

async fn the_policy_is_told_and_kept(lab: Shared) -> Result<()> {
    let nobody = lab.nobody();
    for version in ["v3", "r0", "unstable"] {
        let policy = nobody.get(&format!("/_matrix/client/{version}/password_policy")).await?;
        assert_eq!(policy, json!({ "m.minimum_length": 8, "m.require_digit": true }));
    }
    for weak in ["a1b2c3", "no digit at all", "password1", "PASSWORD123"] {
        let body = json!({ "username": unique("weak"), "password": weak });
        expect_error(&nobody.request(Method::POST, REGISTER, Some(&body)).await?, 400, "M_WEAK_PASSWORD");
    }
    let alice = lab.user("alice").await?;
    let body = json!({ "new_password": "password1" });
    expect_error(&alice.request(Method::POST, CHANGE, Some(&body)).await?, 400, "M_WEAK_PASSWORD");
    Ok(())
}

async fn a_change_ends_other_sessions(lab: Shared) -> Result<()> {
    let alice = lab.user("alice").await?;
    let other = |password: String| {
        let identifier = json!({ "type": "m.id.user", "user": alice.user_id });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        let nobody = lab.nobody();
        async move {
            let session = nobody.post(LOGIN, &body).await?;
            anyhow::Ok(nobody.with_token(session["access_token"].as_str().unwrap_or_default()))
        }
    };
    let change = |old: &str, new: &str, logout: bool| {
        let auth = json!({ "type": "m.login.password", "user": alice.user_id, "password": strong(old) });
        json!({ "new_password": strong(new), "logout_devices": logout, "auth": auth })
    };
    let phone = other(strong("first")).await?;
    alice.post(CHANGE, &change("first", "second", false)).await?;
    phone.get(WHOAMI).await?;
    let laptop = other(strong("second")).await?;
    alice.post(CHANGE, &change("second", "third", true)).await?;
    for gone in [phone, laptop] {
        expect_ended(&gone).await?;
    }
    alice.get(WHOAMI).await?;
    Ok(())
}
