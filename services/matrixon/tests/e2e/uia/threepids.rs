//! Addresses of accounts; mails that survive everything.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{
    client::{Client, Method, unique},
    suite::Test,
    tests,
};
use serde_json::{Value, json};

use super::{Lab, Shared, creds, mailbox, strong};
use crate::env::{expect_error, list};

tests![Lab: an_address_is_added_and_taken_away, an_address_belongs_to_one_account, attempts_are_counted,
    a_token_can_be_submitted, links_end, mails_are_limited, phones_are_refused, mails_are_tried_again,
    identity_servers_are_told];

/// Those that end processes which others need.
pub(crate) fn faults() -> Vec<Test<Lab>> {
    vec![Test::new(concat!(module_path!(), "::mails_survive_killed_processes"), mails_survive_killed_processes)]
}

const THREEPIDS: &str = "/_matrix/client/v3/account/3pid";

async fn addresses(client: &Client) -> Result<Vec<String>> {
    let answer = client.get(THREEPIDS).await?;
    Ok(list(&answer, "/threepids").iter().filter_map(|one| one["address"].as_str().map(str::to_owned)).collect())
}

async fn an_address_is_added_and_taken_away(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    assert_eq!(addresses(&alice).await?, std::slice::from_ref(&email));
    // the confirmation is used up
    let body = json!({ "email": email, "client_secret": "other", "send_attempt": 1 });
    lab.nobody().post(&format!("{THREEPIDS}/email/requestToken"), &body).await?;
    let delete = json!({ "medium": "email", "address": email.to_uppercase() });
    for _ in 0..2 {
        let done = alice.post(&format!("{THREEPIDS}/delete"), &delete).await?;
        assert_eq!(done, json!({ "id_server_unbind_result": "no-support" }));
        assert!(addresses(&alice).await?.is_empty());
    }
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await?;
    assert_eq!(capabilities["capabilities"]["m.3pid_changes"]["enabled"], true);
    Ok(())
}

async fn an_address_belongs_to_one_account(lab: Shared) -> Result<()> {
    let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
    let email = format!("{}@example.org", unique("shared"));
    let first = lab.confirm("account/3pid", &email, "first").await?;
    let second = lab.ask("account/3pid", &email, "second", 1).await?;
    lab.follow(&lab.mailbox.wait_for(&email, 2).await?[1]).await?;
    assert_eq!(lab.add(&alice, &first, "first", &strong("first")).await?.status, 200);
    expect_error(&lab.add(&bob, &second, "second", &strong("first")).await?, 400, "M_THREEPID_IN_USE");
    assert_eq!(addresses(&alice).await?, [email]);
    assert!(addresses(&bob).await?.is_empty());
    // used up, by another request than this
    expect_error(&lab.add(&alice, &first, "first", &strong("first")).await?, 403, "M_THREEPID_AUTH_FAILED");
    expect_error(&lab.add(&alice, &json!("unknown"), "x", &strong("first")).await?, 403, "M_THREEPID_AUTH_FAILED");
    // without the password nothing is added, by the deprecated way neither
    let body = json!({ "three_pid_creds": creds(&second, "second") });
    Lab::challenged(&alice.request(Method::POST, THREEPIDS, Some(&body)).await?);
    Ok(())
}

async fn attempts_are_counted(lab: Shared) -> Result<()> {
    let email = format!("{}@example.org", unique("again"));
    let sid = lab.ask("account/3pid", &email, "s3cret", 1).await?;
    lab.mailbox.wait_for(&email, 1).await?;
    // the same attempt is a retry of the request, not a wish for another mail
    assert_eq!(lab.ask("account/3pid", &email, "s3cret", 1).await?, sid);
    assert_eq!(lab.ask("account/3pid", &email.to_uppercase(), "s3cret", 2).await?, sid);
    let mails = lab.mailbox.wait_for(&email, 2).await?;
    assert_eq!(mails.len(), 2);
    assert_ne!(mailbox::token(&mails[0]), mailbox::token(&mails[1]));
    // another secret is another session
    assert_ne!(lab.ask("account/3pid", &email, "another", 1).await?, sid);
    assert_eq!(lab.mailbox.wait_for(&email, 3).await?.len(), 3);
    // the link of the first mail is as good as that of the second
    assert_eq!(lab.follow(&mails[0]).await?.status, 200);
    let alice = lab.user("alice").await?;
    assert_eq!(lab.add(&alice, &sid, "s3cret", &strong("first")).await?.status, 200);
    Ok(())
}

async fn a_token_can_be_submitted(lab: Shared) -> Result<()> {
    let path = "/_matrix/client/unstable/org.matrixon/email/submit_token";
    let email = format!("{}@example.org", unique("typed"));
    let sid = lab.ask("account/3pid", &email, "s3cret", 1).await?;
    let token = mailbox::token(&lab.mailbox.wait_for(&email, 1).await?[0]);
    let nobody = lab.nobody();
    for (sid, secret, token) in
        [(&json!("x"), "s3cret", token.as_str()), (&sid, "guess", &token), (&sid, "s3cret", "mxm_guess")]
    {
        let body = json!({ "sid": sid, "client_secret": secret, "token": token });
        expect_error(&nobody.request(Method::POST, path, Some(&body)).await?, 400, "M_TOKEN_INCORRECT");
    }
    expect_error(&nobody.request(Method::POST, path, Some(&json!({}))).await?, 400, "M_MISSING_PARAM");
    let body = json!({ "sid": sid, "client_secret": "s3cret", "token": token });
    // a request may come twice
    for _ in 0..2 {
        assert_eq!(nobody.post(path, &body).await?, json!({ "success": true }));
    }
    let alice = lab.user("alice").await?;
    assert_eq!(lab.add(&alice, &sid, "s3cret", &strong("first")).await?.status, 200);
    // once it has done its duty it is nothing any more
    expect_error(&nobody.request(Method::POST, path, Some(&body)).await?, 400, "M_SESSION_EXPIRED");
    Ok(())
}

async fn links_end(lab: Shared) -> Result<()> {
    let nobody = lab.nobody();
    for token in ["", "x", "mxm_0000000000000000000000000000000000000000", "%ff"] {
        let page = nobody.request(Method::GET, &format!("{}?token={token}", super::CONFIRM), None).await?;
        assert_eq!(page.status, 400, "{token}: {}", page.text);
        assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    }
    let (_, email) = lab.user_with_email("used").await?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    assert_eq!(lab.follow(&mail).await?.status, 400);
    Ok(())
}

async fn mails_are_limited(lab: Shared) -> Result<()> {
    let email = format!("{}@example.org", unique("many"));
    for number in 0..5 {
        lab.ask("account/3pid", &email, &format!("secret{number}"), 1).await?;
    }
    let body = json!({ "email": email, "client_secret": "more", "send_attempt": 1 });
    let reply = lab.nobody().request(Method::POST, &format!("{THREEPIDS}/email/requestToken"), Some(&body)).await?;
    expect_error(&reply, 429, "M_LIMIT_EXCEEDED");
    assert!(reply.body["retry_after_ms"].as_u64().is_some_and(|ms| ms > 60_000), "{}", reply.text);
    Ok(())
}

async fn phones_are_refused(lab: Shared) -> Result<()> {
    let body = json!({ "country": "GB", "phone_number": "07700900001", "client_secret": "s", "send_attempt": 1 });
    for path in ["register", "account/3pid", "account/password"] {
        let path = format!("/_matrix/client/v3/{path}/msisdn/requestToken");
        let reply = lab.nobody().request(Method::POST, &path, Some(&body)).await?;
        expect_error(&reply, 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
    }
    Ok(())
}

async fn mails_are_tried_again(lab: Shared) -> Result<()> {
    // put off once by the server: after ten seconds it is tried again
    let busy = format!("busy-{}@example.org", unique("x"));
    lab.ask("account/3pid", &busy, "s3cret", 1).await?;
    let refused = format!("refused-{}@example.org", unique("x"));
    lab.ask("account/3pid", &refused, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&busy, 1).await?.remove(0);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    assert!(lab.mailbox.read(&refused)?.is_empty());
    Ok(())
}

/// What is acknowledged is sent, though the SMTP server is away and every process that knows of it dies.
async fn mails_survive_killed_processes(lab: Shared) -> Result<()> {
    let cluster = lab.env.cluster.as_ref().context("a cluster of our own")?;
    let email = format!("{}@example.org", unique("durable"));
    lab.mailbox.close();
    let sid = lab.ask("account/3pid", &email, "s3cret", 1).await?;
    let processes = cluster.state()?.processes;
    for process in processes.iter().filter(|process| ["auth", "all"].contains(&process.role.as_str())) {
        cluster.kill(&process.role, process.index)?;
    }
    for process in processes.iter().filter(|process| ["auth", "all"].contains(&process.role.as_str())) {
        cluster.start(&process.role, process.index)?;
    }
    lab.mailbox.open()?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    let alice = lab.user("alice").await?;
    assert_eq!(lab.add(&alice, &sid, "s3cret", &strong("first")).await?.status, 200);
    Ok(())
}

async fn identity_servers_are_told(lab: Shared) -> Result<()> {
    let alice = lab.user("alice").await?;
    let id_server = lab.third_parties.host();
    let bind = |id_server: &str, token: &str| {
        let session = unique("sid");
        json!({ "id_server": id_server, "id_access_token": token, "sid": session, "client_secret": "s3cret" })
    };
    let path = format!("{THREEPIDS}/bind");
    let foreign = alice.request(Method::POST, &path, Some(&bind("identity.example.org", "good"))).await?;
    expect_error(&foreign, 400, "M_SERVER_NOT_TRUSTED");
    // what it says is handed on
    expect_error(&alice.request(Method::POST, &path, Some(&bind(&id_server, "bad"))).await?, 401, "M_UNAUTHORIZED");
    alice.post(&path, &bind(&id_server, "good")).await?;
    // bound is not added
    assert!(addresses(&alice).await?.is_empty());
    let unbind = json!({ "medium": "email", "address": "bound@example.org" });
    let unbound = alice.post(&format!("{THREEPIDS}/unbind"), &unbind).await?;
    assert_eq!(unbound["id_server_unbind_result"], "success");
    let seen = lab.third_parties.seen("/_matrix/identity/v2/3pid/unbind", &alice.user_id);
    let request: Value = serde_json::from_str(&seen[0].body)?;
    assert_eq!(request["threepid"], unbind);
    assert!(seen[0].authorization.starts_with("X-Matrix "), "{seen:?}");
    assert!(seen[0].authorization.contains(&id_server) && seen[0].authorization.contains("sig="), "{seen:?}");
    // it is known no more where it could be
    let again = alice.post(&format!("{THREEPIDS}/unbind"), &unbind).await?;
    assert_eq!(again["id_server_unbind_result"], "no-support");
    // nor does it outlive the account, whoever ends that
    alice.post(&path, &bind(&id_server, "good")).await?;
    let state = lab.env.cluster.as_ref().context("a cluster of our own")?.state()?;
    let process = state.processes.first().context("no process")?;
    let mut command = Command::new(&process.command[0]);
    command.args(&process.command[1..3]).args(["user", "deactivate", &alice.user_id, "--yes"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = lab.third_parties.seen("/_matrix/identity/v2/3pid/unbind", &alice.user_id);
    assert_eq!(seen.len(), 2, "{seen:?}");
    Ok(())
}
