//! Administration through gateways: REST, and gRPC by the command line as it is.

use std::{
    process::Output,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, Reply, escape, room_path, unique},
    tests,
};
use serde_json::{Value, json};

use crate::env::{ADMIN_TOKEN, Env, Shared, expect_error, list, server_name};

tests![Env: strangers_and_users_are_refused, rest_makes_and_changes_accounts, the_command_line_does_the_same,
    an_account_is_locked_ended_and_never_given_away, sessions_end_everywhere_within_a_second,
    a_key_makes_a_request_one, everything_is_in_the_audit_log, refusals_are_in_the_audit_log,
    tokens_are_made_and_revoked, reports_are_read_and_removed, accounts_are_imported, historical_ids_are_kept,
    bad_requests_are_told_so];

const ADMIN: &str = "/_matrixon/admin/v1";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn machine(env: &Env) -> Client {
    env.nobody().with_token(ADMIN_TOKEN)
}

async fn matrixon(url: &str, token: &str, args: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_matrixon"));
    command.args(args).env_clear().env("MATRIXON_ADMIN_URL", url).env("MATRIXON_ADMIN_TOKEN", token);
    Ok(command.stdin(std::process::Stdio::null()).output().await?)
}

/// A command that must succeed, at the next gateway; what it printed.
async fn done(env: &Env, args: &[&str]) -> Result<String> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let gateway = TURN.fetch_add(1, Ordering::Relaxed) % env.urls.len();
    let output = matrixon(&env.urls[gateway], ADMIN_TOKEN, args).await?;
    assert!(output.status.success(), "{args:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

async fn grpc(client: &Client, path: &str) -> Result<Reply> {
    // a message without fields
    client.request_raw(Method::POST, path, "application/grpc", vec![0; 5]).await
}

async fn strangers_and_users_are_refused(env: Shared) -> Result<()> {
    let (nobody, alice) = (env.nobody(), env.user("alice").await?);
    let wrong = nobody.with_token("wrong");
    for (client, status, errcode, code) in [
        (&nobody, 401, "M_MISSING_TOKEN", "16"),
        (&wrong, 401, "M_UNKNOWN_TOKEN", "16"),
        (&alice, 403, "M_FORBIDDEN", "7"),
    ] {
        for path in
            ["/users", "/registration_tokens", "/reports", "/reports/1", "/audit", "/audit/head", "/users/x/devices"]
        {
            let reply = client.request(Method::GET, &format!("{ADMIN}{path}"), None).await?;
            expect_error(&reply, status, errcode);
        }
        for path in ["/users", "/users/x/promote", "/registration_tokens", "/import/users"] {
            let reply = client.request(Method::POST, &format!("{ADMIN}{path}"), Some(&json!({}))).await?;
            expect_error(&reply, status, errcode);
        }
        for path in ["Users/List", "Users/Promote", "RegistrationTokens/Create", "Audit/List"] {
            let reply = grpc(client, &format!("/matrixon.admin.v1.{path}")).await?;
            assert_eq!((reply.status, reply.header("grpc-status")), (200, code), "{path}: {:?}", reply.headers);
            assert!(!reply.header("grpc-status-details-bin").is_empty(), "no detail: {:?}", reply.headers);
        }
    }
    let output = matrixon(nobody.next_url(), alice.token.as_deref().unwrap_or_default(), &["user", "list"]).await?;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let output = matrixon("http://127.0.0.1:9", ADMIN_TOKEN, &["user", "list"]).await?;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was done"), "{output:?}");
    Ok(())
}

async fn rest_makes_and_changes_accounts(env: Shared) -> Result<()> {
    let admin = machine(&env);
    let name = unique("rest");
    let body = json!({ "username": name, "password": PASSWORD, "displayname": "A Name" });
    let made = admin.post(&format!("{ADMIN}/users"), &body).await?;
    let user_id = made["user_id"].as_str().unwrap_or_default().to_owned();
    assert!(user_id.starts_with(&format!("@{name}:")), "{made}");
    assert!(made.get("avatar_url").is_none() && made["displayname"] == "A Name", "{made}");
    let session = env.nobody().login_as(&name, PASSWORD).await?;
    for gateway in 0..session.gateways() {
        let mine = session.pinned(gateway).request(Method::GET, &format!("{ADMIN}/users"), None).await?;
        expect_error(&mine, 403, "M_FORBIDDEN");
    }
    let path = format!("{ADMIN}/users/{}", escape(&user_id));
    let promoted = admin.post(&format!("{path}/promote"), &json!({})).await?;
    assert_eq!(promoted["admin"], true, "{promoted}");
    for gateway in 0..session.gateways() {
        session.pinned(gateway).get(&path).await?; // at once, everywhere
    }
    let devices = session.get(&format!("{path}/devices")).await?;
    assert_eq!(list(&devices, "/devices").len(), 1, "{devices}");
    let found = session.get(&format!("{ADMIN}/users?prefix={name}&admin=true")).await?;
    assert_eq!(found["users"][0]["user_id"], user_id.as_str(), "{found}");
    let none = session.get(&format!("{ADMIN}/users?prefix={name}&admin=false")).await?;
    assert!(list(&none, "/users").is_empty(), "{none}");
    let unknown = admin.request(Method::GET, &format!("{ADMIN}/users/nobody-of-this-name"), None).await?;
    expect_error(&unknown, 404, "M_NOT_FOUND");
    Ok(())
}

async fn the_command_line_does_the_same(env: Shared) -> Result<()> {
    let name = unique("cli");
    let said = done(&env, &["user", "create", &name, "--password", PASSWORD]).await?;
    assert!(said.starts_with(&format!("created @{name}:")), "{said}");
    let session = env.nobody().login_as(&name, PASSWORD).await?;
    let shown: Value = serde_json::from_str(&done(&env, &["user", "show", &name, "--json"]).await?)?;
    assert_eq!((&shown["admin"], &shown["devices"]), (&json!(false), &json!(1)), "{shown}");
    done(&env, &["user", "promote", &name]).await?;
    let listed = done(&env, &["user", "list", &name, "--admin"]).await?;
    assert!(listed.starts_with("user id") && listed.contains(&session.user_id), "{listed}");
    assert!(done(&env, &["user", "list", &name, "--admin", "--detailed"]).await?.contains("display name"));
    assert!(done(&env, &["user", "devices", &name]).await?.contains(&session.device_id));
    done(&env, &["user", "demote", &name]).await?;
    let refused = matrixon(session.next_url(), ADMIN_TOKEN, &["user", "logout", &name]).await?;
    assert_eq!(refused.status.code(), Some(2), "without a terminal and without --yes: {refused:?}");
    session.get(WHOAMI).await?;
    done(&env, &["user", "delete-device", &name, &session.device_id, "--yes"]).await?;
    until(&session, WHOAMI, 401, "M_UNKNOWN_TOKEN").await?;
    let missing = matrixon(session.next_url(), ADMIN_TOKEN, &["user", "show", "nobody-of-this-name"]).await?;
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    let taken = matrixon(session.next_url(), ADMIN_TOKEN, &["user", "create", &name, "--no-password"]).await?;
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    assert!(String::from_utf8_lossy(&taken.stderr).contains("M_USER_IN_USE"), "{taken:?}");
    Ok(())
}

async fn an_account_is_locked_ended_and_never_given_away(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let name = alice.localpart();
    done(&env, &["user", "lock", name]).await?;
    until(&alice, WHOAMI, 401, "M_USER_LOCKED").await?;
    done(&env, &["user", "unlock", name]).await?;
    alice.get(WHOAMI).await?;
    done(&env, &["user", "suspend", name]).await?;
    let suspended = done(&env, &["user", "list", name, "--suspended", "--json"]).await?;
    assert_eq!(suspended.lines().count(), 1, "{suspended}");
    done(&env, &["user", "unsuspend", name]).await?;
    done(&env, &["user", "deactivate", name, "--erase", "--yes"]).await?;
    until(&alice, WHOAMI, 401, "M_UNKNOWN_TOKEN").await?;
    let body = json!({ "username": name, "password": PASSWORD });
    let taken = env.nobody().request(Method::POST, "/_matrix/client/v3/register", Some(&body)).await?;
    expect_error(&taken, 400, "M_USER_IN_USE");
    assert!(env.nobody().login_as(name, PASSWORD).await.is_err());
    done(&env, &["user", "reactivate", name, "--password", "the second life"]).await?;
    let again = env.nobody().login_as(name, "the second life").await?;
    done(&env, &["user", "delete", name, "--yes"]).await?;
    until(&again, WHOAMI, 401, "M_UNKNOWN_TOKEN").await?;
    let shown: Value = serde_json::from_str(&done(&env, &["user", "show", name, "--json"]).await?)?;
    assert_eq!((&shown["deactivated"], &shown["erased"], &shown["devices"]), (&json!(true), &json!(true), &json!(0)));
    assert!(shown.get("displayname").is_none(), "{shown}");
    let active = matrixon(alice.next_url(), ADMIN_TOKEN, &["user", "promote", name]).await?;
    assert_eq!(active.status.code(), Some(4), "{active:?}");
    Ok(())
}

/// Asks until the answer has this status and errcode.
async fn until(client: &Client, path: &str, status: u16, errcode: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let reply = client.request(Method::GET, path, None).await?;
        if (reply.status, reply.errcode()) == (status, errcode) {
            return Ok(());
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "never {status} {errcode}: {} {}",
            reply.status,
            reply.text
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sessions_end_everywhere_within_a_second(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for gateway in 0..alice.gateways() {
        alice.pinned(gateway).get(WHOAMI).await?; // cached there
    }
    let path = format!("{ADMIN}/users/{}/reset_password", escape(&alice.user_id));
    machine(&env).pinned(0).post(&path, &json!({ "password": "another one" })).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for gateway in 0..alice.gateways() {
        let reply = alice.pinned(gateway).request(Method::GET, WHOAMI, None).await?;
        expect_error(&reply, 401, "M_UNKNOWN_TOKEN");
    }
    env.nobody().login_as(alice.localpart(), "another one").await?;
    Ok(())
}

async fn a_key_makes_a_request_one(env: Shared) -> Result<()> {
    let http = reqwest::Client::new();
    let admin = machine(&env);
    let name = unique("once");
    let mut answers = Vec::new();
    for username in [&name, &name, &unique("other")] {
        let request = http.post(format!("{}{ADMIN}/users", admin.next_url())).bearer_auth(ADMIN_TOKEN);
        let request = request.header("x-matrixon-idempotency-key", &name).json(&json!({ "username": username }));
        let response = request.send().await?;
        answers.push((response.status().as_u16(), response.json::<Value>().await?));
    }
    assert_eq!(answers[0].0, 200, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2].0, 400, "{answers:?}");
    Ok(())
}

async fn everything_is_in_the_audit_log(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (admin, target) = (machine(&env), escape(&alice.user_id));
    let path = format!("{ADMIN}/users/{target}");
    admin.post(&format!("{path}/promote"), &json!({})).await?;
    done(&env, &["user", "demote", &alice.user_id]).await?;
    let none = json!({ "device_ids": ["NONE"] });
    let refused = admin.request(Method::POST, &format!("{path}/devices/delete"), Some(&none)).await?;
    expect_error(&refused, 404, "M_NOT_FOUND");
    let person = env.admin().await?;
    let lock = format!("/_matrix/client/v1/admin/lock/{target}");
    person.put(&lock, &json!({ "locked": true })).await?;
    let log = admin.get(&format!("{ADMIN}/audit?target={target}")).await?;
    let seen: Vec<(&str, &str, &str)> = list(&log, "/records")
        .iter()
        .map(|one| {
            let field = |name: &str| one[name].as_str().unwrap_or_default();
            (field("action"), field("via"), field("result"))
        })
        .collect();
    let expected = [
        ("user.promote", "rest", "ok"),
        ("user.demote", "grpc", "ok"),
        ("user.delete-device", "rest", "M_NOT_FOUND"),
        ("user.lock", "client", "ok"),
    ];
    assert_eq!(seen, expected, "{log}");
    let records = list(&log, "/records");
    assert!(records.iter().all(|one| one["remote"] == "127.0.0.1"), "{log}");
    assert!(records[..3].iter().all(|one| one["actor"] == "token"), "{log}");
    assert_eq!(records[3]["actor"], person.user_id.as_str(), "{log}");
    let listed = done(&env, &["audit", "list", "--target", &alice.user_id]).await?;
    assert_eq!(listed.lines().count(), 5, "{listed}");
    let head = done(&env, &["audit", "verify"]).await?;
    let head = head.trim().rsplit(' ').next().unwrap_or_default();
    done(&env, &["audit", "verify", "--expect", head]).await?;
    let forged = format!("1:{}", "0".repeat(64));
    let refused = matrixon(admin.next_url(), ADMIN_TOKEN, &["audit", "verify", "--expect", &forged]).await?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    Ok(())
}

/// Waits for so many: an answer waits for its record two seconds at most.
async fn records_of(env: &Env, actor: &str, number: usize) -> Result<String> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let log = done(env, &["audit", "list", "--json", "--actor", actor]).await?;
        if log.lines().count() >= number || Instant::now() > end {
            return Ok(log);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn refusals_are_in_the_audit_log(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let promote = grpc(&alice, "/matrixon.admin.v1.Users/Promote").await?;
    assert_eq!(promote.header("grpc-status"), "7", "{:?}", promote.headers);
    let path = format!("{ADMIN}/users/{}/lock", escape(&bob.user_id));
    expect_error(&alice.request(Method::POST, &path, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    let path = format!("/_matrix/client/v1/admin/lock/{}", escape(&bob.user_id));
    expect_error(&alice.request(Method::PUT, &path, Some(&json!({ "locked": true }))).await?, 403, "M_FORBIDDEN");
    let log = records_of(&env, &alice.user_id, 3).await?;
    let records = log.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let seen: Vec<[&str; 5]> = records
        .iter()
        .map(|one| ["via", "action", "target", "result", "remote"].map(|name| one[name].as_str().unwrap_or_default()))
        .collect();
    let expected = [
        ["client", "user.lock", bob.user_id.as_str(), "denied", "127.0.0.1"],
        ["rest", "admin.request", "POST /_matrixon/admin/v1/users/{user}/lock", "denied", "127.0.0.1"],
        ["grpc", "admin.request", "/matrixon.admin.v1.Users/Promote", "denied", "127.0.0.1"],
    ];
    assert_eq!(seen, expected, "the latest first: {log}");
    let details: Value = serde_json::from_str(records[1]["details"].as_str().unwrap_or_default())?;
    assert_eq!(details, json!({ "errcode": "M_FORBIDDEN", "user": bob.user_id }));

    // strangers are not in it, and one account only so often
    for client in [env.nobody(), env.nobody().with_token("wrong")] {
        assert_eq!(grpc(&client, "/matrixon.admin.v1.Users/List").await?.header("grpc-status"), "16");
    }
    for _ in 0..25 {
        grpc(&alice, "/matrixon.admin.v1.Users/List").await?;
    }
    let log = records_of(&env, &alice.user_id, 20).await?;
    assert_eq!(log.lines().count(), 20, "{log}");
    let log = done(&env, &["audit", "list", "--json", "--limit", "1000", "--action", "admin.request"]).await?;
    for line in log.lines() {
        let record: Value = serde_json::from_str(line)?;
        assert!(record["actor"].as_str().is_some_and(|actor| actor.starts_with('@')), "{record}");
    }
    done(&env, &["audit", "verify"]).await?;
    Ok(())
}

async fn tokens_are_made_and_revoked(env: Shared) -> Result<()> {
    let token = done(&env, &["registration-token", "create", "--uses", "2"]).await?.trim().to_owned();
    let all = machine(&env).get(&format!("{ADMIN}/registration_tokens?page_size=1000")).await?;
    let mine = list(&all, "/tokens").iter().find(|one| one["token"] == token.as_str()).cloned().unwrap_or_default();
    assert_eq!(mine["uses_allowed"], 2, "{all}");
    assert!(mine.get("expires_ts").is_none(), "{mine}");
    assert!(done(&env, &["registration-token", "list"]).await?.contains(&token));
    done(&env, &["registration-token", "revoke", &token]).await?;
    let again = machine(&env).request(Method::DELETE, &format!("{ADMIN}/registration_tokens/{token}"), None).await?;
    expect_error(&again, 404, "M_NOT_FOUND");
    Ok(())
}

async fn reports_are_read_and_removed(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event = alice.send(&room, "something rude").await?;
    let user = format!("/_matrix/client/v3/users/{}/report", escape(&alice.user_id));
    bob.post(&room_path(&room, "report"), &json!({ "reason": "spam" })).await?;
    for reason in ["first", "again"] {
        let path = room_path(&room, &format!("report/{}", escape(&event)));
        bob.post(&path, &json!({ "reason": reason })).await?;
    }
    bob.post(&user, &json!({ "reason": "rude" })).await?;

    let admin = machine(&env);
    let mine = |query: &str| format!("{ADMIN}/reports?reporter={}{query}", escape(&bob.user_id));
    let first = admin.get(&mine("&page_size=2")).await?;
    let kinds: Vec<&Value> = list(&first, "/reports").iter().map(|report| &report["kind"]).collect();
    assert_eq!(kinds, ["user", "event"], "the newest first, and each event once: {first}");
    assert_eq!(first["reports"][0]["user_id"], alice.user_id);
    let told = &first["reports"][1];
    assert_eq!(
        (&told["reason"], &told["event_id"], &told["room_id"], &told["user_id"]),
        (&json!("again"), &json!(event), &json!(room), &json!(alice.user_id))
    );
    let token = first["next_page_token"].as_str().unwrap_or_default();
    let second = admin.get(&mine(&format!("&page_size=2&page_token={token}"))).await?;
    assert_eq!((list(&second, "/reports").len(), &second["next_page_token"]), (1, &json!("")), "{second}");
    assert_eq!(admin.get(&mine("&kind=room")).await?["reports"], second["reports"]);
    for wrong in ["&kind=none", "&page_token=x", "&page_token=eA"] {
        expect_error(&admin.request(Method::GET, &mine(wrong), None).await?, 400, "M_INVALID_PARAM");
    }

    let number = told["id"].as_str().unwrap_or_default();
    let listed = done(&env, &["report", "list", "--reporter", &bob.user_id, "--kind", "event", "--json"]).await?;
    assert_eq!(&serde_json::from_str::<Value>(&listed)?, told);
    let shown = done(&env, &["report", "show", number]).await?;
    assert!(shown.contains(&event) && shown.contains("again"), "{shown}");
    done(&env, &["report", "delete", number, "--yes"]).await?;
    for gone in [number, "0", "x"] {
        let path = format!("{ADMIN}/reports/{gone}");
        expect_error(&admin.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
        expect_error(&admin.request(Method::DELETE, &path, None).await?, 404, "M_NOT_FOUND");
    }
    let log = admin.get(&format!("{ADMIN}/audit?action=report.delete&target={number}")).await?;
    let results: Vec<&Value> = list(&log, "/records").iter().map(|record| &record["result"]).collect();
    assert_eq!(results, ["ok", "M_NOT_FOUND"], "{log}");
    Ok(())
}

async fn accounts_are_imported(env: Shared) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let name = unique("import");
    let rows: Vec<String> = (0..700).map(|number| format!("{name}-{number},,n{number},false,")).collect();
    let with_password = format!("{name}-p,{PASSWORD},,false,{name}@Example.org second.{name}@example.org");
    let bad = format!("bad name,,,,\n{name}-q,,,,{name}@example.ORG\n{name}-r,,,,no address");
    let text = format!("username,password,displayname,admin,emails\n{}\n{with_password}\n{bad}\n", rows.join("\n"));
    let file = directory.path().join("users.csv");
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    let url = machine(&env).next_url().to_owned();
    let command = ["user", "import", &file, "--json"];
    let dry = matrixon(&url, ADMIN_TOKEN, &[&command[..], &["--dry-run"]].concat()).await?;
    assert_eq!(serde_json::from_slice::<Value>(&dry.stdout)?["created"], 701, "{dry:?}");
    let first = matrixon(&url, ADMIN_TOKEN, &command).await?;
    let expected = json!({ "rows": 704, "created": 701, "existing": 0, "refused": 3 });
    assert_eq!((serde_json::from_slice::<Value>(&first.stdout)?, first.status.code()), (expected, Some(1)));
    let report = std::fs::read_to_string(format!("{file}.refused.csv"))?;
    assert!(report.contains("703,bad name,M_INVALID_USERNAME,"), "{report}");
    assert!(report.contains(&format!("704,{name}-q,M_THREEPID_IN_USE,")), "{report}");
    assert!(report.contains(&format!("705,{name}-r,M_INVALID_PARAM,")), "{report}");
    let shown = done(&env, &["user", "show", &format!("{name}-p"), "--json"]).await?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(shown["emails"], json!([format!("{name}@example.org"), format!("second.{name}@example.org")]));
    let again = matrixon(&url, ADMIN_TOKEN, &command).await?;
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout)?["existing"], 701, "{again:?}");
    env.nobody().login_as(&format!("{name}-p"), PASSWORD).await?;
    let listed = done(&env, &["user", "list", &format!("{name}-"), "--json"]).await?;
    assert_eq!(listed.lines().count(), 701);
    Ok(())
}

async fn historical_ids_are_kept(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (name, server) = (unique("Import"), server_name(&alice));
    let (user_id, small) = (format!("@{name}:{server}"), name.to_lowercase());
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("users.csv");
    std::fs::write(&file, format!("username,password\n{user_id},{PASSWORD}\n@{small}:{server},{PASSWORD}\n"))?;
    let file = file.display().to_string();
    let imported = matrixon(alice.next_url(), ADMIN_TOKEN, &["user", "import", &file, "--json"]).await?;
    let expected = json!({ "rows": 2, "created": 1, "existing": 0, "refused": 1 });
    assert_eq!((serde_json::from_slice::<Value>(&imported.stdout)?, imported.status.code()), (expected, Some(1)));
    let report = std::fs::read_to_string(format!("{file}.refused.csv"))?;
    assert!(report.contains(&format!("3,@{small}:{server},M_USER_IN_USE,")), "{report}");

    // the account is the one that rooms know, and takes part in them
    let session = env.nobody().login(&name).await?;
    assert_eq!(session.user_id, user_id);
    let room = env.room(&session, &[&alice]).await?;
    session.send(&room, "as before").await?;
    assert_eq!(done(&env, &["user", "list", &name, "--json"]).await?.lines().count(), 1);

    // nobody gets it in small letters
    let body = json!({ "username": small, "password": PASSWORD });
    let taken = env.nobody().request(Method::POST, "/_matrix/client/v3/register", Some(&body)).await?;
    expect_error(&taken, 400, "M_USER_IN_USE");
    let path = format!("/_matrix/client/v3/register/available?username={small}");
    expect_error(&env.nobody().request(Method::GET, &path, None).await?, 400, "M_USER_IN_USE");
    let taken = matrixon(alice.next_url(), ADMIN_TOKEN, &["user", "create", &small, "--no-password"]).await?;
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    assert!(String::from_utf8_lossy(&taken.stderr).contains("M_USER_IN_USE"), "{taken:?}");
    Ok(())
}

async fn bad_requests_are_told_so(env: Shared) -> Result<()> {
    let admin = machine(&env);
    for (body, errcode) in [
        (json!({ "usrname": "x" }), "M_BAD_JSON"),
        (json!({ "username": 7 }), "M_BAD_JSON"),
        (json!({ "username": "ü" }), "M_INVALID_USERNAME"),
        (json!({ "username": unique("x"), "password": "" }), "M_WEAK_PASSWORD"),
        (json!({ "username": unique("x"), "displayname": "x".repeat(300) }), "M_INVALID_PARAM"),
    ] {
        let reply = admin.request(Method::POST, &format!("{ADMIN}/users"), Some(&body)).await?;
        expect_error(&reply, 400, errcode);
    }
    for query in ["page_size=many", "page_token=x", "page_token=%00", "prefix=%00", "admin=perhaps", "unknown=1"] {
        let reply = admin.request(Method::GET, &format!("{ADMIN}/users?{query}"), None).await?;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text);
    }
    let garbage =
        admin.request_raw(Method::POST, "/matrixon.admin.v1.Users/Get", "application/grpc", vec![0xff; 64]).await?;
    assert_ne!(garbage.header("grpc-status"), "0", "{:?}", garbage.headers);
    let unknown =
        admin.request_raw(Method::POST, "/matrixon.admin.v1.Users/None", "application/grpc", vec![0; 5]).await?;
    expect_error(&unknown, 404, "M_UNRECOGNIZED");
    Ok(())
}
