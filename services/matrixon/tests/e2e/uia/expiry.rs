//! Links that nobody follows in time, on a server where that is a matter of seconds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use matrixon_testkit::{
    client::{Method, Reply, unique},
    tests,
};
use serde_json::{Value, json};

use super::{
    CONFIRM, Lab, REGISTER, Shared, creds, mailbox,
    registration::{begin, email_stage},
    strong,
};
use crate::env::expect_error;

tests![Lab: links_end_in_time, a_registration_outlives_its_link, a_forgotten_password_outlives_its_link];

const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_mins(1);
const SUBMIT: &str = "/_matrix/client/unstable/org.matrixon/email/submit_token";
const CHANGE: &str = "/_matrix/client/v3/account/password";

#[track_caller]
fn expect_over(page: &Reply) {
    assert_eq!(page.status, 400, "{}", page.text);
    let says = page.text.contains("role=\"alert\"") && page.text.contains("the time to confirm this address is over");
    assert!(says, "{}", page.text);
}

/// The link of a mail that has just come is good, until it is not.
async fn wait_for_end(lab: &Lab, mail: &Value) -> Result<()> {
    let (path, started) = (format!("{CONFIRM}?token={}", mailbox::token(mail)), Instant::now());
    let mut good = false;
    loop {
        let page = lab.nobody().request(Method::GET, &path, None).await?;
        if page.status != 200 {
            assert!(good, "never good: {}", page.text);
            expect_over(&page);
            return Ok(());
        }
        good = true;
        ensure!(started.elapsed() < PATIENCE, "the link does not end");
        tokio::time::sleep(LOOK).await;
    }
}

async fn links_end_in_time(lab: Shared) -> Result<()> {
    let alice = lab.user("alice").await?;
    let email = format!("{}@example.org", unique("late"));
    let sid = lab.ask("account/3pid", &email, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    wait_for_end(&lab, &mail).await?;
    // neither does the button of a page that was open before, nor a token that is typed
    expect_over(&lab.follow(&mail).await?);
    let typed = json!({ "sid": sid, "client_secret": "s3cret", "token": mailbox::token(&mail) });
    expect_error(&lab.nobody().request(Method::POST, SUBMIT, Some(&typed)).await?, 400, "M_SESSION_EXPIRED");
    expect_error(&lab.add(&alice, &sid, "s3cret", &strong("first")).await?, 403, "M_THREEPID_AUTH_FAILED");
    // the same request, though it be the same attempt, begins anew
    let again = lab.ask("account/3pid", &email, "s3cret", 1).await?;
    assert_ne!(again, sid);
    let mail = lab.mailbox.wait_for(&email, 2).await?.remove(1);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    assert_eq!(lab.add(&alice, &again, "s3cret", &strong("first")).await?.status, 200);
    Ok(())
}

async fn a_registration_outlives_its_link(lab: Shared) -> Result<()> {
    let (name, email) = (unique("late"), format!("{}@example.org", unique("late")));
    let (mut body, session) = begin(&lab, &name).await?;
    let sid = lab.ask("register", &email, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    wait_for_end(&lab, &mail).await?;
    let nobody = lab.nobody();
    body["auth"] = email_stage(&session, &sid, "s3cret");
    let late = nobody.request(Method::POST, REGISTER, Some(&body)).await?;
    assert_eq!((Lab::challenged(&late), late.errcode()), (session.clone(), "M_UNAUTHORIZED"));
    assert_eq!(late.body["completed"].as_array().map(Vec::len), Some(2), "{}", late.text);
    // nothing is lost but the link: the next one completes the session
    let again = lab.ask("register", &email, "s3cret", 2).await?;
    let mail = lab.mailbox.wait_for(&email, 2).await?.remove(1);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&body)).await?);
    body["auth"] = email_stage(&session, &again, "s3cret");
    let done = nobody.post(REGISTER, &body).await?;
    assert!(done["user_id"].as_str().is_some_and(|user_id| user_id.starts_with(&format!("@{name}:"))), "{done}");
    Ok(())
}

/// On the fall-back page too, which offers another mail.
async fn a_forgotten_password_outlives_its_link(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    let nobody = lab.nobody();
    let mut body = json!({ "new_password": strong("reset") });
    let session = Lab::challenged(&nobody.request(Method::POST, CHANGE, Some(&body)).await?);
    let sid = lab.ask("account/password", &email, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&email, 2).await?.remove(1);
    wait_for_end(&lab, &mail).await?;
    body["auth"] = email_stage(&session, &sid, "s3cret");
    let late = nobody.request(Method::POST, CHANGE, Some(&body)).await?;
    assert_eq!((Lab::challenged(&late), late.errcode()), (session.clone(), "M_UNAUTHORIZED"));
    let page = "/_matrix/client/v3/auth/m.login.email.identity/fallback/web?session=";
    let page = format!("{page}{}", session.as_str().unwrap_or_default());
    let form = format!("sid={}&client_secret=s3cret", sid.as_str().unwrap_or_default()).into_bytes();
    let shown = nobody.request_raw(Method::POST, &page, "application/x-www-form-urlencoded", form).await?;
    assert!(shown.text.contains("role=\"alert\"") && shown.text.contains("<a href=\"\">"), "{}", shown.text);
    assert_eq!(lab.login(&alice.user_id, &strong("reset")).await?.status, 403);
    let again = lab.ask("account/password", &email, "s3cret", 2).await?;
    let mail = lab.mailbox.wait_for(&email, 3).await?.remove(2);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    body["auth"]["threepid_creds"] = creds(&again, "s3cret");
    nobody.post(CHANGE, &body).await?;
    assert_eq!(lab.login(&alice.user_id, &strong("reset")).await?.status, 200);
    Ok(())
}
