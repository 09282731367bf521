//! What others have recorded, and what is refused to those who may not administer.

use matrixon_proto::{
    admin::v1::AuditRecord,
    auth::v1::{RecordAuditRequest, audit_log_client::AuditLogClient},
};
use serde_json::json;

use super::{
    Harness,
    administration::{Called, asserted, named, refused, users, verified},
    on_both, open,
};

fn log(server: &Harness, actor: &str, key: &str) -> AuditLogClient<Called> {
    AuditLogClient::with_interceptor(server.router.clone(), asserted(server, Some(actor), key))
}

fn reload() -> RecordAuditRequest {
    RecordAuditRequest {
        via: "cli".to_owned(),
        action: "process.reload".to_owned(),
        target: "10.0.0.1:8100".to_owned(),
        result: "ok".to_owned(),
        details: json!({ "service": "room" }).to_string(),
    }
}

fn refusal() -> RecordAuditRequest {
    let target = "/matrixon.admin.v1.Users/List".to_owned();
    RecordAuditRequest { via: "grpc".to_owned(), action: "admin.request".to_owned(), target, ..reload() }
}

fn denied() -> RecordAuditRequest {
    RecordAuditRequest { result: "denied".to_owned(), ..refusal() }
}

fn count(log: &[AuditRecord], actor: &str, result: &str) -> usize {
    log.iter().filter(|one| one.actor == actor && one.result == result).count()
}

#[tokio::test]
async fn what_others_do_is_recorded_once() {
    on_both(open(), |server| async move {
        let operator = "cli:root@host";
        for _ in 0..2 {
            log(&server, operator, "a").record(reload()).await.unwrap();
        }
        log(&server, operator, "b").record(reload()).await.unwrap();
        refused(log(&server, operator, "a").record(refusal()).await, 400, "M_INVALID_PARAM");
        let log = verified(&server).await;
        assert_eq!(log.len(), 2, "{log:?}");
        let one = &log[0];
        let seen = [&one.actor, &one.via, &one.action, &one.target, &one.remote, &one.result, &one.details];
        let details = "{\"service\":\"room\"}";
        assert_eq!(seen, [operator, "cli", "process.reload", "10.0.0.1:8100", "192.0.2.9", "ok", details]);
    })
    .await;
}

#[tokio::test]
async fn only_an_assertion_that_names_somebody_adds_to_the_log() {
    let server = Harness::sqlite(open()).await;
    let mut bare = AuditLogClient::new(server.router.clone());
    refused(bare.record(reload()).await, 401, "M_UNAUTHORIZED");
    let mut nobody = AuditLogClient::with_interceptor(server.router.clone(), asserted(&server, None, ""));
    refused(nobody.record(reload()).await, 401, "M_MISSING_TOKEN");
    let odd = [
        RecordAuditRequest { via: "window".to_owned(), ..reload() },
        RecordAuditRequest { details: "[]".to_owned(), ..reload() },
        RecordAuditRequest { details: json!({ "error": "e".repeat(5_000) }).to_string(), ..reload() },
    ];
    for request in odd {
        refused(log(&server, "cli:root@host", "").record(request).await, 400, "M_INVALID_PARAM");
    }
    assert!(verified(&server).await.is_empty());
}

#[tokio::test]
async fn nobody_fills_the_log_with_what_is_denied() {
    on_both(open(), |server| async move {
        let deny = async |actor: &str, from: usize| {
            let mut calls = tokio::task::JoinSet::new();
            for number in from..from + 30 {
                let mut client = log(&server, actor, &format!("{actor} {number}"));
                calls.spawn(async move { client.record(denied()).await });
            }
            for call in calls.join_all().await {
                call.unwrap();
            }
        };
        deny("@bob:example.org", 0).await;
        deny("@bob:example.org", 30).await;
        deny("@eve:example.org", 0).await;
        let seen = verified(&server).await;
        let counts = ["@bob:example.org", "@eve:example.org"].map(|actor| count(&seen, actor, "denied"));
        assert_eq!((seen.len(), counts), (40, [20, 20]));
        // what is done is recorded however much there is of it, and an hour later there may be news
        for number in 0..25 {
            log(&server, "@bob:example.org", &format!("done {number}")).record(reload()).await.unwrap();
        }
        server.clock.advance(std::time::Duration::from_mins(61));
        deny("@bob:example.org", 60).await;
        let seen = verified(&server).await;
        assert_eq!((count(&seen, "@bob:example.org", "ok"), count(&seen, "@bob:example.org", "denied")), (25, 40));
    })
    .await;
}

#[tokio::test]
async fn refusals_of_the_client_api_are_recorded() {
    on_both(open(), |server| async move {
        let (root, bob) = (server.register("root").await, server.register("bob").await);
        users(&server, "promote").promote(named("root")).await.unwrap();
        let lock = "/v1/admin/lock/@root:example.org";
        let unsuspend = "/v1/admin/suspend/@root:example.org";
        server.put(lock, Some(&bob), json!({ "locked": true })).await.refused(403, "M_FORBIDDEN");
        server.put(unsuspend, Some(&root), json!({ "suspended": false })).await.refused(403, "M_FORBIDDEN");
        let log = verified(&server).await;
        let seen: Vec<[&str; 5]> =
            log[1..].iter().map(|one| [&*one.actor, &*one.via, &*one.action, &*one.result, &*one.details]).collect();
        let expected = [
            ["@bob:example.org", "client", "user.lock", "denied", "{\"errcode\":\"M_FORBIDDEN\"}"],
            ["@root:example.org", "client", "user.unsuspend", "M_FORBIDDEN", "{}"],
        ];
        assert_eq!(seen, expected);
        assert!(log[1..].iter().all(|one| one.target == "@root:example.org" && one.remote == "192.0.2.7"));
    })
    .await;
}
