//! Fallback pages in a real browser.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, unique},
    tests,
};
use serde_json::{Value, json};

use super::{LOGIN, Lab, REGISTER, Shared, browser::Browser, strong};

tests![Lab: headers_are_strict, sessions_and_stages_that_are_not, stages_are_completed_in_a_browser,
    an_address_is_confirmed_in_a_browser, the_log_in_page_logs_in];

fn fallback(stage: &str, session: &Value) -> String {
    format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={}", session.as_str().unwrap_or_default())
}

async fn begin(lab: &Lab) -> Result<Value> {
    let body = json!({ "username": unique("page"), "password": strong("first") });
    Ok(Lab::challenged(&lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?))
}

async fn completed(lab: &Lab, session: &Value) -> Result<Vec<String>> {
    let reply = lab.nobody().request(Method::POST, REGISTER, Some(&json!({ "auth": { "session": session } }))).await?;
    Ok(serde_json::from_value(reply.body["completed"].clone()).unwrap_or_default())
}

async fn headers_are_strict(lab: Shared) -> Result<()> {
    let session = begin(&lab).await?;
    let pages =
        ["m.login.terms", "m.login.recaptcha", "m.login.email.identity", "m.login.dummy", "m.login.registration_token"];
    let mut paths: Vec<String> = pages.iter().map(|stage| fallback(stage, &session)).collect();
    paths.push("/_matrix/static/client/login/".to_owned());
    paths.push(format!("{}?token=x", super::CONFIRM));
    for path in paths {
        let page = lab.nobody().request(Method::GET, &path, None).await?;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{path}: {policy}");
        let captcha = path.contains("recaptcha");
        assert_eq!(policy.contains(&lab.third_parties.url("")), captcha, "{path}: {policy}");
        assert_eq!(policy.contains("unsafe"), captcha, "{path}: {policy}");
        assert!(page.text.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{path}");
    }
    Ok(())
}

async fn sessions_and_stages_that_are_not(lab: Shared) -> Result<()> {
    let session = begin(&lab).await?;
    for (stage, session) in [
        ("m.login.terms", json!("unknown")),
        ("m.login.terms", json!("")),
        ("m.login.sso", session.clone()),
        ("%3Cscript%3E", session.clone()),
    ] {
        for method in [Method::GET, Method::POST] {
            let page = lab.nobody().request(method, &fallback(stage, &session), None).await?;
            assert_eq!(page.status, 404, "{stage} {session}: {}", page.text);
            assert!(page.text.contains("role=\"alert\""), "{}", page.text);
        }
    }
    // an empty form completes nothing but what asks for nothing
    for stage in ["m.login.terms", "m.login.recaptcha", "m.login.email.identity", "m.login.registration_token"] {
        let form = "application/x-www-form-urlencoded";
        let page = lab.nobody().request_raw(Method::POST, &fallback(stage, &session), form, Vec::new()).await?;
        assert!(page.text.contains("role=\"alert\""), "{stage}: {}", page.text);
    }
    assert!(completed(&lab, &session).await?.is_empty());
    Ok(())
}

/// Each thing that is typed or ticked has a label, and what the page is about is said.
async fn expect_accessible(browser: &Browser) -> Result<()> {
    let unlabelled =
        "return [...document.querySelectorAll('input:not([type=hidden])')].filter(i => !i.labels.length).length";
    assert_eq!(browser.run(unlabelled).await?, 0);
    let shape =
        "return [document.documentElement.lang, document.querySelectorAll('main h1').length, document.title !== '']";
    assert_eq!(browser.run(shape).await?, json!(["en", 1, true]));
    Ok(())
}

async fn stages_are_completed_in_a_browser(lab: Shared) -> Result<()> {
    let browser = Browser::start().await?;
    let session = begin(&lab).await?;
    let client = lab.nobody();
    let home = format!("{}/_matrix/static/client/login/", client.next_url());
    browser.open(&home).await?;
    let main = browser.window().await?;
    // as a web client does: a window of its own, and a message when it is done
    let listen = "window.told = []; window.addEventListener('message', e => window.told.push([e.data, e.origin]));";
    browser.run(listen).await?;
    for (stage, act) in
        [("m.login.terms", "input[type=checkbox]"), ("m.login.recaptcha", "h1"), ("m.login.dummy", "h1")]
    {
        let url = format!("{}{}", client.next_url(), fallback(stage, &session));
        browser.run(&format!("window.open({})", json!(url))).await?;
        browser.enter_other_than(&main).await?;
        browser.wait_until("document.querySelector('button')").await?;
        expect_accessible(&browser).await?;
        browser.click(act).await?;
        if stage == "m.login.recaptcha" {
            browser.wait_until("document.body.dataset.captcha === 'loaded'").await?;
        }
        browser.click("button").await?;
        browser.wait_until("document.querySelector('h1').textContent === 'Thank you'").await?;
        assert_eq!(browser.complaints().await?, Vec::<String>::new(), "{stage}");
        browser.run("window.close()").await?;
        browser.switch_to(&main).await?;
        browser.wait_until("window.told.length").await?;
        let told = browser.run("return window.told.splice(0)[0]").await?;
        let origin = url.split("/_matrix").next().unwrap_or_default();
        assert_eq!(told, json!(["authDone", origin]), "{stage}");
    }
    let body = json!({ "auth": { "session": session } });
    assert!(client.post(REGISTER, &body).await?["user_id"].is_string());
    // as an app does: a function in the page
    browser.run_first("window.onAuthDone = function () { window.authDone = (window.authDone || 0) + 1; };").await?;
    let session = begin(&lab).await?;
    browser.open(&format!("{}{}", client.next_url(), fallback("m.login.terms", &session))).await?;
    browser.click("input[type=checkbox]").await?;
    browser.click("button").await?;
    browser.wait_until("window.authDone === 1").await?;
    assert_eq!(completed(&lab, &session).await?, ["m.login.terms"]);
    browser.close().await
}

async fn an_address_is_confirmed_in_a_browser(lab: Shared) -> Result<()> {
    let browser = Browser::start().await?;
    let client = lab.nobody();
    let session = begin(&lab).await?;
    let email = format!("{}@example.org", unique("browser"));
    browser.open(&format!("{}{}", client.next_url(), fallback("m.login.email.identity", &session))).await?;
    expect_accessible(&browser).await?;
    browser.fill("#email", &email).await?;
    browser.click("button").await?;
    browser.wait_until("document.querySelector('h1').textContent === 'Look into your mail'").await?;
    // too early
    browser.click("button").await?;
    browser.wait_until("document.querySelector('[role=alert]')").await?;
    let main = browser.window().await?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    let page = format!("{}{}?token={}", client.next_url(), super::CONFIRM, super::mailbox::token(&mail));
    browser.run(&format!("window.open({})", json!(page))).await?;
    browser.enter_other_than(&main).await?;
    browser.wait_until("document.querySelector('button')").await?;
    expect_accessible(&browser).await?;
    browser.click("button").await?;
    browser.wait_until("document.querySelector('h1').textContent === 'Confirmed'").await?;
    browser.switch_to(&main).await?;
    browser.click("button").await?;
    browser.wait_until("document.querySelector('h1').textContent === 'Thank you'").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    assert_eq!(completed(&lab, &session).await?, ["m.login.email.identity"]);
    browser.close().await
}

async fn the_log_in_page_logs_in(lab: Shared) -> Result<()> {
    let alice = lab.user("alice").await?;
    let browser = Browser::start().await?;
    let page = "/_matrix/static/client/login/?device_id=BROWSER&initial_device_display_name=Fallback&password=x";
    browser.open(&format!("{}{page}", alice.next_url())).await?;
    browser.run("window.matrixLogin = { onLogin: function (answer) { window.answer = answer; } };").await?;
    expect_accessible(&browser).await?;
    browser.fill("#user", &alice.user_id).await?;
    browser.fill("#password", "wrong").await?;
    browser.click("button").await?;
    browser.wait_until("!document.getElementById('message').hidden").await?;
    assert_eq!(browser.run("return window.answer || null").await?, Value::Null);
    browser.run("document.getElementById('password').value = ''").await?;
    browser.fill("#password", &strong("first")).await?;
    browser.click("button").await?;
    browser.wait_until("window.answer").await?;
    let answer = browser.run("return window.answer").await?;
    assert_eq!((&answer["user_id"], &answer["device_id"]), (&json!(alice.user_id), &json!("BROWSER")), "{answer}");
    let client = alice.with_token(answer["access_token"].as_str().unwrap_or_default());
    let device = client.get("/_matrix/client/v3/devices/BROWSER").await?;
    assert_eq!(device["display_name"], "Fallback");
    // the refused log-in is an error of HTTP, nothing else is
    let complaints = browser.complaints().await?;
    assert!(
        complaints.iter().all(|complaint| complaint.contains(LOGIN) && complaint.contains("403")),
        "{complaints:?}"
    );
    browser.close().await
}
