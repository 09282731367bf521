//! Links in mails and what they have confirmed, in time and too late.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{Harness, on_both};
use crate::{
    Config,
    config::{EmailConfig, MailSecurity, RegistrationConfig, TermsDocument, TermsPolicy},
    sessions::tokens::hash_token,
    store::validations,
    tests::harness::{Reply, open},
};

/// Shorter than an interactive session lives.
const STEP: u64 = 1_000;

/// Terms and an address are asked for. Nobody takes the mails: links are made here.
fn with_mail() -> Config {
    let document = TermsDocument { name: "Terms".to_owned(), url: "https://example.org/terms".to_owned() };
    let policy = TermsPolicy { version: "1".to_owned(), languages: [("en".to_owned(), document)].into() };
    Config {
        token_registration: false,
        registration: RegistrationConfig { require_email: true, require_terms: true, ..RegistrationConfig::default() },
        terms: [("terms".to_owned(), policy)].into(),
        email: EmailConfig {
            host: "127.0.0.1".to_owned(),
            port: 9,
            security: MailSecurity::None,
            from: "Matrixon <matrix@example.org>".to_owned(),
            ..EmailConfig::default()
        },
        ..open()
    }
}

async fn begin(server: &Harness, username: &str) -> String {
    server.post("/v3/register", None, json!({ "username": username, "password": "secret" })).await.challenged()
}

async fn ask(server: &Harness) -> String {
    let body = json!({ "email": "alice@example.org", "client_secret": "s3cret", "send_attempt": 1 });
    let reply = server.post("/v3/register/email/requestToken", None, body).await.ok();
    reply["sid"].as_str().unwrap().to_owned()
}

/// The secret of a link, as a mail would have it.
async fn link(server: &Harness, sid: &str) -> String {
    let token = format!("mxm_of_{sid}");
    validations::insert_token(&server.db, &hash_token(&token), sid).await.unwrap();
    token
}

async fn confirm(server: &Harness, sid: &str, token: &str) -> Reply {
    let body = json!({ "sid": sid, "client_secret": "s3cret", "token": token });
    server.post("/unstable/org.matrixon/email/submit_token", None, body).await
}

/// The session of an address that has just been confirmed.
async fn confirmed(server: &Harness) -> String {
    let sid = ask(server).await;
    let token = link(server, &sid).await;
    confirm(server, &sid, &token).await.ok();
    sid
}

async fn stage(server: &Harness, session: &str, mut auth: Value) -> Reply {
    auth["session"] = json!(session);
    server.post("/v3/register", None, json!({ "auth": auth })).await
}

async fn show_address(server: &Harness, session: &str, sid: &str) -> Reply {
    let creds = json!({ "sid": sid, "client_secret": "s3cret" });
    stage(server, session, json!({ "type": "m.login.email.identity", "threepid_creds": creds })).await
}

async fn agree(server: &Harness, session: &str) -> Reply {
    stage(server, session, json!({ "type": "m.login.terms" })).await
}

/// Time passes while a client asks how far it is.
async fn pass(server: &Harness, session: &str, seconds: u64) {
    for _ in 0..seconds / STEP {
        server.clock.advance(Duration::from_secs(STEP));
        assert_eq!(stage(server, session, json!({})).await.challenged(), session);
    }
}

#[tokio::test]
async fn a_registration_outlives_its_link() {
    on_both(with_mail(), |server| async move {
        let session = begin(&server, "alice").await;
        let sid = ask(&server).await;
        assert_eq!(ask(&server).await, sid, "the same attempt");
        let token = link(&server, &sid).await;
        let page = format!("/unstable/org.matrixon/email/confirm?token={token}");
        assert_eq!(server.get(&page, None).await.status, 200);
        pass(&server, &session, 4_000).await;
        assert_eq!(server.get(&page, None).await.status, 400);
        let form = format!("token={token}").into_bytes();
        let path = "/unstable/org.matrixon/email/confirm";
        assert_eq!(server.forward(Method::POST, path, None, form, "pressed").await.status, 400);
        confirm(&server, &sid, &token).await.refused(400, "M_SESSION_EXPIRED");
        let late = show_address(&server, &session, &sid).await;
        assert_eq!((late.challenged(), &late.body["errcode"]), (session.clone(), &json!("M_UNAUTHORIZED")));

        // though it be the same attempt: what has ended is begun anew
        let again = ask(&server).await;
        assert_ne!(again, sid);
        let token = link(&server, &again).await;
        confirm(&server, &again, &token).await.ok();
        assert_eq!(show_address(&server, &session, &sid).await.challenged(), session);
        let shown = show_address(&server, &session, &again).await;
        assert_eq!(shown.body["completed"], json!(["m.login.email.identity"]));
        assert_eq!(agree(&server, &session).await.ok()["user_id"], "@alice:example.org");
        let address = json!({ "type": "m.id.thirdparty", "medium": "email", "address": "Alice@Example.ORG" });
        assert_eq!(server.login("", json!({ "identifier": address })).await.ok()["user_id"], "@alice:example.org");
    })
    .await;
}

#[tokio::test]
async fn what_is_confirmed_waits_a_day() {
    on_both(with_mail(), |server| async move {
        let session = begin(&server, "alice").await;
        let sid = confirmed(&server).await;
        assert_eq!(show_address(&server, &session, &sid).await.challenged(), session);
        pass(&server, &session, 23 * 3_600).await;
        assert_eq!(agree(&server, &session).await.ok()["user_id"], "@alice:example.org");
    })
    .await;
}

#[tokio::test]
async fn what_was_confirmed_longer_ago_is_confirmed_again() {
    on_both(with_mail(), |server| async move {
        let session = begin(&server, "alice").await;
        let sid = confirmed(&server).await;
        assert_eq!(show_address(&server, &session, &sid).await.challenged(), session);
        pass(&server, &session, 25 * 3_600).await;
        // whichever stage comes last: no account, and nothing is lost but the address
        for late in [agree(&server, &session).await, show_address(&server, &session, &sid).await] {
            assert_eq!((late.challenged(), &late.body["errcode"]), (session.clone(), &json!("M_THREEPID_AUTH_FAILED")));
            assert_eq!(late.body["completed"], json!(["m.login.terms"]));
        }
        server.get("/v3/register/available?username=alice", None).await.ok();
        let again = confirmed(&server).await;
        assert_ne!(again, sid);
        assert_eq!(show_address(&server, &session, &again).await.ok()["user_id"], "@alice:example.org");
        let address = json!({ "type": "m.id.thirdparty", "medium": "email", "address": "alice@example.org" });
        server.login("", json!({ "identifier": address })).await.ok();
    })
    .await;
}
