//! Administration as the gateway brings it: gRPC with an assertion, on both databases.

use std::collections::BTreeSet;

use axum::Router;
use matrixon_http::{Assertion, MatrixError, Signer, header::IDENTITY};
use matrixon_proto::admin::v1::{
    AuditHeadRequest, AuditRecord, CreateRegistrationTokenRequest, CreateUserRequest, DeactivateUserRequest,
    DeleteDevicesRequest, ImportUser, ImportUsersRequest, ListAuditRequest, ListRegistrationTokensRequest,
    ListUsersRequest, RegistrationToken, ResetPasswordRequest, RevokeRegistrationTokenRequest, UserRequest,
    audit_client::AuditClient, registration_tokens_client::RegistrationTokensClient, users_client::UsersClient,
};
use matrixon_store::{exec, sql};
use serde_json::json;
use tonic::{Request, Status, metadata::MetadataValue, service::interceptor::InterceptedService};

use super::{Harness, harness::SECRET, on_both};
use crate::{
    audit_chain::Checker,
    store::administration::{BulkUser, insert_users},
    tests::harness::open,
};

/// Puts the assertion of a request on a call: what the gateway does.
#[derive(Clone)]
pub(super) struct Asserted(String);

impl tonic::service::Interceptor for Asserted {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(IDENTITY, MetadataValue::try_from(&self.0).unwrap());
        Ok(request)
    }
}

pub(super) type Called = InterceptedService<Router, Asserted>;

pub(super) fn asserted(server: &Harness, machine: Option<&str>, key: &str) -> Asserted {
    let assertion = Assertion {
        machine: machine.map(str::to_owned),
        remote_addr: Some("192.0.2.9".parse().unwrap()),
        request_id: format!("request of {key}"),
        idempotency_key: key.to_owned(),
        expires_ms: server.clock.now_ms() + 30_000,
        ..Assertion::default()
    };
    Asserted(Signer::new(SECRET).sign(&assertion).to_str().unwrap().to_owned())
}

pub(super) fn users(server: &Harness, key: &str) -> UsersClient<Called> {
    UsersClient::with_interceptor(server.router.clone(), asserted(server, Some("token"), key))
}

fn tokens(server: &Harness, key: &str) -> RegistrationTokensClient<Called> {
    RegistrationTokensClient::with_interceptor(server.router.clone(), asserted(server, Some("token"), key))
}

fn audit(server: &Harness) -> AuditClient<Called> {
    AuditClient::with_interceptor(server.router.clone(), asserted(server, Some("token"), ""))
}

pub(super) async fn create_token(server: &Harness, new: CreateRegistrationTokenRequest) -> RegistrationToken {
    tokens(server, "").create(new).await.unwrap().into_inner()
}

pub(super) async fn list_tokens(server: &Harness) -> Vec<RegistrationToken> {
    tokens(server, "").list(ListRegistrationTokensRequest::default()).await.unwrap().into_inner().tokens
}

pub(super) async fn revoke_token(server: &Harness, token: &str) {
    tokens(server, "").revoke(RevokeRegistrationTokenRequest { token: token.to_owned() }).await.unwrap();
}

pub(super) fn named(user: &str) -> UserRequest {
    UserRequest { user: user.to_owned() }
}

fn new(username: &str) -> CreateUserRequest {
    CreateUserRequest { username: username.to_owned(), password: Some("secret".to_owned()), ..Default::default() }
}

async fn records(server: &Harness) -> Vec<AuditRecord> {
    let request = ListAuditRequest { page_size: 1_000, ..Default::default() };
    audit(server).list(request).await.unwrap().into_inner().records
}

/// The whole log, checked against its head.
pub(super) async fn verified(server: &Harness) -> Vec<AuditRecord> {
    let records = records(server).await;
    let mut checker = Checker::default();
    for record in &records {
        checker.check(record).unwrap();
    }
    checker.finish(&audit(server).head(AuditHeadRequest {}).await.unwrap().into_inner()).unwrap();
    records
}

#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, status: u16, errcode: &str) {
    let error = MatrixError::from(result.unwrap_err());
    assert_eq!((error.status.as_u16(), error.errcode.as_str()), (status, errcode), "{error}");
}

#[tokio::test]
async fn nobody_gets_in_without_an_assertion_of_an_administrator() {
    let server = Harness::sqlite(open()).await;
    let mut bare = UsersClient::new(server.router.clone());
    refused(bare.list(ListUsersRequest::default()).await, 401, "M_UNAUTHORIZED");
    let anonymous = asserted(&server, None, "");
    let mut anonymous = UsersClient::with_interceptor(server.router.clone(), anonymous);
    refused(anonymous.list(ListUsersRequest::default()).await, 401, "M_MISSING_TOKEN");
    let mut forged = asserted(&server, Some("token"), "");
    forged.0.replace_range(..4, "AAAA");
    let mut forged = UsersClient::with_interceptor(server.router.clone(), forged);
    refused(forged.list(ListUsersRequest::default()).await, 401, "M_UNAUTHORIZED");
}

#[tokio::test]
async fn accounts_are_made_changed_and_recorded() {
    on_both(open(), |server| async move {
        let made = users(&server, "1").create(new("Alice")).await.unwrap().into_inner();
        assert_eq!((made.user_id.as_str(), made.has_password, made.admin), ("@alice:example.org", true, false));
        refused(users(&server, "2").create(new("alice")).await, 400, "M_USER_IN_USE");
        refused(users(&server, "3").promote(named("bob")).await, 404, "M_NOT_FOUND");
        refused(users(&server, "4").promote(named("a\0b")).await, 404, "M_NOT_FOUND");
        assert!(users(&server, "5").promote(named("alice")).await.unwrap().into_inner().admin);

        let login = server.login("alice", json!({ "device_id": "PHONE" })).await.ok();
        let token = login["access_token"].as_str().unwrap();
        let before = server.revocations(-1).await.position;
        let request = ResetPasswordRequest { user: "alice".into(), password: "other".into(), keep_sessions: true };
        users(&server, "6").reset_password(request.clone()).await.unwrap();
        assert!(server.authenticate(token).await.unwrap().admin);
        users(&server, "7").demote(named("@alice:example.org")).await.unwrap();
        assert!(!server.authenticate(token).await.unwrap().admin);
        let devices = DeleteDevicesRequest { user: "alice".into(), device_ids: vec!["PHONE".into()] };
        let left = users(&server, "8").delete_devices(devices.clone()).await.unwrap().into_inner();
        assert!(left.devices.is_empty() && server.authenticate(token).await.is_err());
        refused(users(&server, "9").delete_devices(devices.clone()).await, 404, "M_NOT_FOUND");
        // the same request again: as before
        assert!(users(&server, "8").delete_devices(devices).await.is_ok());
        let ended: Vec<_> = server.revocations(before).await.revocations;
        assert_eq!(ended.iter().map(|one| one.device_id.as_str()).collect::<Vec<_>>(), ["", "PHONE"]);

        let log = verified(&server).await;
        let seen: Vec<(&str, &str, &str)> =
            log.iter().map(|one| (one.action.as_str(), one.target.as_str(), one.result.as_str())).collect();
        let alice = "@alice:example.org";
        let expected = [
            ("user.create", alice, "ok"),
            ("user.create", alice, "M_USER_IN_USE"),
            ("user.promote", "@bob:example.org", "M_NOT_FOUND"),
            ("user.promote", "ab", "M_NOT_FOUND"),
            ("user.promote", alice, "ok"),
            ("user.reset-password", alice, "ok"),
            ("user.demote", alice, "ok"),
            ("user.delete-device", alice, "ok"),
            ("user.delete-device", alice, "M_NOT_FOUND"),
        ];
        assert_eq!(seen, expected);
        assert!(log.iter().all(|one| one.actor == "token" && one.via == "grpc" && one.remote == "192.0.2.9"));
        let text = serde_json::to_string(&log).unwrap();
        assert!(!text.contains("secret") && !text.contains("other"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_does_nothing_twice() {
    on_both(open(), |server| async move {
        let first = users(&server, "k").create(new("alice")).await.unwrap().into_inner();
        let again = users(&server, "k").create(new("alice")).await.unwrap().into_inner();
        assert_eq!(first, again);
        refused(users(&server, "k").create(new("bob")).await, 400, "M_INVALID_PARAM");

        let request = CreateRegistrationTokenRequest::default();
        let first = tokens(&server, "t").create(request.clone()).await.unwrap().into_inner();
        let again = tokens(&server, "t").create(request.clone()).await.unwrap().into_inner();
        assert_eq!(first, again);
        assert_ne!(first.token, tokens(&server, "u").create(request).await.unwrap().into_inner().token);
        let revoke = RevokeRegistrationTokenRequest { token: first.token.clone() };
        tokens(&server, "r").revoke(revoke.clone()).await.unwrap();
        tokens(&server, "r").revoke(revoke.clone()).await.unwrap();
        refused(tokens(&server, "s").revoke(revoke).await, 404, "M_NOT_FOUND");
        let log = verified(&server).await;
        assert_eq!(log.iter().filter(|one| one.result == "ok").count(), 4, "{log:?}");
        assert!(!serde_json::to_string(&log).unwrap().contains(&first.token));
    })
    .await;
}

/// Attempts of one request and different requests, all at once: one chain, each done once.
#[tokio::test]
async fn many_at_once_make_one_chain() {
    on_both(open(), |server| async move {
        for name in ["a", "b", "c"] {
            users(&server, name).create(new(name)).await.unwrap();
        }
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..60 {
            let mut client = users(&server, &format!("key {}", number % 30));
            let user = named(["a", "b", "c"][number % 3]);
            calls.spawn(
                async move { if number % 2 == 0 { client.promote(user).await } else { client.demote(user).await } },
            );
        }
        for result in calls.join_all().await {
            result.unwrap();
        }
        let log = verified(&server).await;
        let requests: BTreeSet<&str> = log.iter().map(|one| one.request_id.as_str()).collect();
        assert_eq!((log.len(), requests.len()), (33, 33));
    })
    .await;
}

#[tokio::test]
async fn what_is_done_to_the_tables_is_noticed() {
    on_both(open(), |server| async move {
        for name in ["a", "b", "c", "d"] {
            users(&server, name).create(new(name)).await.unwrap();
        }
        assert!(exec!(server.db.write(), "update audit_log set actor = 'me' where seq = 2").is_err());
        assert!(exec!(server.db.write(), "delete from audit_log where seq = 2").is_err());
        verified(&server).await;
        exec!(
            server.db.write(),
            pg: "drop trigger audit_log_append_only on audit_log",
            lite: "drop trigger audit_log_no_update"
        )
        .unwrap();
        exec!(server.db.write(), pg: "select 1", lite: "drop trigger audit_log_no_delete").unwrap();
        exec!(server.db.write(), "update audit_log set target = '@x:example.org' where seq = 2").unwrap();
        let problem = check(&server).await.unwrap_err();
        assert!(problem.contains("record 2 was changed"), "{problem}");
        exec!(server.db.write(), "delete from audit_log where seq = 2").unwrap();
        let problem = check(&server).await.unwrap_err();
        assert!(problem.contains("record 2 is missing"), "{problem}");
        exec!(server.db.write(), "delete from audit_log where seq <> 1").unwrap();
        let problem = check(&server).await.unwrap_err();
        assert!(problem.contains("its head says 4"), "{problem}");
    })
    .await;
}

async fn check(server: &Harness) -> Result<(), String> {
    let mut checker = Checker::default();
    for record in records(server).await {
        checker.check(&record).map_err(|broken| broken.to_string())?;
    }
    let head = audit(server).head(AuditHeadRequest {}).await.unwrap().into_inner();
    checker.finish(&head).map_err(|broken| broken.to_string())
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_nobody() {
    on_both(open(), |server| async move {
        let mut names: Vec<String> = (0..25).map(|number| format!("user{number}")).collect();
        names.extend(["zoe", "a_b", "a.b", "a-b", "a=b", "Use", "O'Hara"].map(str::to_owned));
        let mut names: Vec<String> = names.into_iter().map(|name| format!("@{name}:example.org")).collect();
        let rows = names.iter().map(|name| ImportUser { username: name.clone(), ..Default::default() });
        let request = ImportUsersRequest { users: rows.collect(), dry_run: false };
        users(&server, "import").import(request).await.unwrap();
        names.sort();
        for page_size in [1, 7, 100] {
            assert_eq!(list(&server, ListUsersRequest { page_size, ..Default::default() }).await, names);
        }
        for (prefix, found) in
            [("user1", 11), ("@user1", 11), ("User1", 0), ("Us", 1), ("@O'H", 1), ("@zoe:example.org", 1)]
        {
            let prefix = ListUsersRequest { prefix: prefix.into(), page_size: 4, ..Default::default() };
            assert_eq!(list(&server, prefix.clone()).await.len(), found, "{prefix:?}");
        }
        users(&server, "promote").promote(named("zoe")).await.unwrap();
        let admins = ListUsersRequest { admin: Some(true), ..Default::default() };
        assert_eq!(list(&server, admins).await, ["@zoe:example.org"]);
        for page_token in ["x", "\u{0}", "AAAA"] {
            let request = ListUsersRequest { page_token: page_token.into(), ..Default::default() };
            refused(users(&server, "").list(request).await, 400, "M_INVALID_PARAM");
        }
        let request = ListUsersRequest { prefix: "\0".into(), ..Default::default() };
        refused(users(&server, "").list(request).await, 400, "M_INVALID_PARAM");
    })
    .await;
}

async fn list(server: &Harness, mut request: ListUsersRequest) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = users(server, "").list(request.clone()).await.unwrap().into_inner();
        found.extend(page.users.into_iter().map(|user| user.user_id));
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn imports_judge_every_row_and_can_be_repeated() {
    on_both(open(), |server| async move {
        let known = server.register("known").await;
        let (hash,) =
            sql!(server.db.read(), fetch_one as (String,), "select password_hash from users limit 1").unwrap();
        let row = |username: &str| ImportUser { username: username.to_owned(), ..Default::default() };
        let rows = vec![
            ImportUser { password_hash: Some(hash), ..row("@hashed:example.org") },
            ImportUser { password: Some("secret".into()), admin: true, ..row("plain") },
            row("known"),
            row("plain"),
            ImportUser { password_hash: Some("md5".into()), ..row("bad1") },
            row("@bad2:elsewhere.org"),
            ImportUser { displayname: Some("a\0b".into()), ..row("bad3") },
        ];
        let request = ImportUsersRequest { users: rows, dry_run: true };
        let outcomes = |answer: matrixon_proto::admin::v1::ImportUsersResponse| {
            answer.users.into_iter().map(|row| row.outcome).collect::<Vec<_>>().join(" ")
        };
        let expected = "created created exists exists refused refused refused";
        let dry = users(&server, "dry").import(request.clone()).await.unwrap().into_inner();
        assert_eq!(outcomes(dry), expected);
        refused(users(&server, "").get(named("hashed")).await, 404, "M_NOT_FOUND");
        let request = ImportUsersRequest { dry_run: false, ..request };
        for _ in 0..2 {
            let answer = users(&server, "real").import(request.clone()).await.unwrap().into_inner();
            assert_eq!(outcomes(answer), expected, "an attempt of the same request says the same");
        }
        let later = users(&server, "later").import(request).await.unwrap().into_inner();
        assert_eq!(outcomes(later), "exists exists exists exists refused refused refused");
        for name in ["hashed", "plain"] {
            server.login(name, json!({})).await.ok();
        }
        assert!(server.authenticate(&known).await.is_ok());
        assert!(users(&server, "").get(named("plain")).await.unwrap().into_inner().admin);
        assert_eq!(verified(&server).await.len(), 1);
    })
    .await;
}

/// What becomes of each name: its outcome, or why it is refused.
async fn import(server: &Harness, key: &str, names: &[&str]) -> Vec<String> {
    let rows = names.iter().map(|name| ImportUser {
        username: (*name).to_owned(),
        password: Some("secret".to_owned()),
        ..Default::default()
    });
    let request = ImportUsersRequest { users: rows.collect(), dry_run: false };
    let answer = users(server, key).import(request).await.unwrap().into_inner();
    answer.users.into_iter().map(|row| if row.errcode.is_empty() { row.outcome } else { row.errcode }).collect()
}

/// Nobody becomes `@alice:example.org`, however they ask.
async fn expect_taken(server: &Harness) {
    for username in ["alice", "Alice", "ALICE"] {
        let path = format!("/v3/register/available?username={username}");
        server.get(&path, None).await.refused(400, "M_USER_IN_USE");
        let body = json!({ "username": username, "password": "secret", "auth": { "type": "m.login.dummy" } });
        server.post("/v3/register", None, body).await.refused(400, "M_USER_IN_USE");
        refused(users(server, "").create(new(username)).await, 400, "M_USER_IN_USE");
    }
}

#[tokio::test]
async fn whole_user_ids_are_kept_and_none_differ_in_capitals_only() {
    on_both(open(), |server| async move {
        server.register("bob").await;
        let names = ["@Alice:example.org", "alice", "@ALICE:example.org", "@Bob:example.org", "Bob", "O'Hara"];
        let (taken, invalid) = ("M_USER_IN_USE", "M_INVALID_USERNAME");
        for _ in 0..2 {
            let first = import(&server, "first", &names).await;
            assert_eq!(first, ["created", taken, taken, taken, "exists", invalid]);
        }
        let later = import(&server, "later", &names).await;
        assert_eq!(later, ["exists", taken, taken, taken, "exists", invalid]);
        assert_eq!(server.login("Alice", json!({})).await.ok()["user_id"], "@Alice:example.org");
        server.login("alice", json!({})).await.refused(403, "M_FORBIDDEN");
        refused(users(&server, "").create(new("@Carol:example.org")).await, 400, invalid);
        expect_taken(&server).await;

        // somebody was faster than the rows were judged
        let rows = ["@alice:example.org", "@Alice:example.org", "@BOB:example.org", "@Carol:example.org"];
        let rows = rows.map(|user_id| BulkUser {
            user_id,
            small: user_id.to_ascii_lowercase(),
            password_hash: None,
            admin: false,
            displayname: "",
        });
        let mut tx = server.db.begin().await.unwrap();
        assert_eq!(insert_users(&mut tx, &rows, 1).await.unwrap(), ["@Carol:example.org"]);
        tx.commit().await.unwrap();

        let end = DeactivateUserRequest { user: "Alice".to_owned(), erase: true };
        users(&server, "end").deactivate(end).await.unwrap();
        expect_taken(&server).await;
        assert_eq!(import(&server, "after", &["alice", "Carol", "@carol:example.org"]).await, [taken; 3]);
    })
    .await;
}
