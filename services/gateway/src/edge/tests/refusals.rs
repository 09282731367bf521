//! Who may not administer is told so; the audit log hears of accounts, not of strangers.

use serde_json::{Value, json};

use super::backend::{Asked, Fixture, post};

fn lock() -> Asked {
    post("/_matrixon/admin/v1/users/%40bob%3Ax/lock", "{}")
}

#[tokio::test]
async fn an_account_that_may_not_administer_is_recorded() {
    let fixture = Fixture::start().await;
    let asked = lock().token("good").header("x-request-id", "abc-2");
    assert_eq!(fixture.send(asked).await.error(), (403, "M_FORBIDDEN".to_owned()));
    let records = fixture.auth.records();
    let [(who, record)] = records.as_slice() else { panic!("{records:?}") };
    let requester = who.user.as_ref().map(|user| user.user_id.as_str());
    let remote = who.remote_addr.map(|remote| remote.to_string());
    assert_eq!((requester, remote.as_deref(), &*who.request_id), (Some("@alice:x"), Some("192.0.2.1"), "abc-2"));
    assert!(!who.idempotency_key.is_empty());
    let seen = [&record.via, &record.action, &record.target, &record.result].map(String::as_str);
    assert_eq!(seen, ["rest", "admin.request", "POST /_matrixon/admin/v1/users/{user}/lock", "denied"]);
    let details: Value = serde_json::from_str(&record.details).unwrap();
    assert_eq!(details, json!({ "errcode": "M_FORBIDDEN", "user": "@bob:x" }));
}

#[tokio::test]
async fn strangers_are_not_recorded() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.send(lock()).await.error(), (401, "M_MISSING_TOKEN".to_owned()));
    assert_eq!(fixture.send(lock().token("bad")).await.error(), (401, "M_UNKNOWN_TOKEN".to_owned()));
    fixture.send(post("/_matrix/client/v3/logout", "{}").token("bad")).await;
    assert!(fixture.auth.records().is_empty());
}

#[tokio::test]
async fn a_refusal_needs_no_audit_log() {
    let fixture = Fixture::start().await;
    fixture.auth.stop_recording();
    assert_eq!(fixture.send(lock().token("good")).await.error(), (403, "M_FORBIDDEN".to_owned()));
}
