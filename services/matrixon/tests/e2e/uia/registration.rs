//! Registration with an e-mail address.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, unique},
    tests,
};
use serde_json::{Value, json};

use super::{Lab, REGISTER, Shared, creds, strong};
use crate::env::expect_error;

tests![Lab: an_address_is_confirmed_and_kept, a_confirmation_makes_one_account, unconfirmed_is_not_enough,
    confirmations_for_other_purposes_do_not_count, a_known_address_is_not_told];

/// A registration that needs nothing any more but the address.
pub(super) async fn begin(lab: &Lab, name: &str) -> Result<(Value, Value)> {
    let nobody = lab.nobody();
    let body = json!({ "username": name, "password": strong("first") });
    let session = Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&body)).await?);
    for auth in [json!({ "type": "m.login.recaptcha", "response": "human" }), json!({ "type": "m.login.terms" })] {
        let mut body = json!({ "auth": auth });
        body["auth"]["session"] = session.clone();
        Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&body)).await?);
    }
    Ok((body, session))
}

pub(super) fn email_stage(session: &Value, sid: &Value, client_secret: &str) -> Value {
    json!({ "type": "m.login.email.identity", "session": session, "threepid_creds": creds(sid, client_secret) })
}

async fn an_address_is_confirmed_and_kept(lab: Shared) -> Result<()> {
    let (name, email) = (unique("mail"), format!("{}@example.org", unique("mail")));
    let (mut body, session) = begin(&lab, &name).await?;
    let written = email.to_uppercase();
    let sid = lab.ask("register", &written, "s3cret", 1).await?;
    body["auth"] = email_stage(&session, &sid, "s3cret");
    // the client asks until the link has been followed
    let early = lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?;
    Lab::challenged(&early);
    assert_eq!(early.errcode(), "M_UNAUTHORIZED");
    // mail goes to the canonical form
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    assert_eq!((&mail["tls"], &mail["authenticated"]), (&json!(true), &json!(true)), "{mail}");
    assert_eq!(
        (&mail["from"], &mail["automatic"]),
        (&json!("Matrixon <matrix@example.org>"), &json!("auto-generated"))
    );
    assert_eq!(mail["subject"], "Confirm your e-mail address for Example & Co");
    assert!(mail["html"].as_str().is_some_and(|html| html.contains("Example &amp; Co")), "{mail}");
    assert_eq!(lab.follow(&mail).await?.status, 200);
    let done = lab.nobody().post(REGISTER, &body).await?;
    let client = lab.nobody().with_token(done["access_token"].as_str().unwrap_or_default());
    let threepids = client.get("/_matrix/client/v3/account/3pid").await?;
    let one = &threepids["threepids"][0];
    assert_eq!((&one["medium"], &one["address"]), (&json!("email"), &json!(email)), "{threepids}");
    assert!(
        one["validated_at"].as_i64() <= one["added_at"].as_i64() && one["validated_at"].as_i64() > Some(0),
        "{one}"
    );
    Ok(())
}

async fn a_confirmation_makes_one_account(lab: Shared) -> Result<()> {
    let email = format!("{}@example.org", unique("once"));
    let sid = lab.confirm("register", &email, "s3cret").await?;
    for (number, expected) in [(1, 200), (2, 401)] {
        let (mut body, session) = begin(&lab, &unique(&format!("once{number}"))).await?;
        body["auth"] = email_stage(&session, &sid, "s3cret");
        let reply = lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?;
        assert_eq!(reply.status, expected, "account {number}: {}", reply.text);
    }
    // two registrations that hold the same confirmation at once: one gets it
    let email = format!("{}@example.org", unique("race"));
    let sid = lab.confirm("register", &email, "s3cret").await?;
    let mut bodies = Vec::new();
    for number in 0..4 {
        let (mut body, session) = begin(&lab, &unique(&format!("race{number}"))).await?;
        body["auth"] = email_stage(&session, &sid, "s3cret");
        bodies.push(body);
    }
    let nobody = lab.nobody();
    let replies = bodies.iter().map(|body| nobody.request(Method::POST, REGISTER, Some(body)));
    let replies = futures::future::try_join_all(replies).await?;
    let made = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(made, 1, "{:?}", replies.iter().map(|reply| &reply.text).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| [200, 401, 403].contains(&reply.status)), "{replies:?}");
    Ok(())
}

async fn unconfirmed_is_not_enough(lab: Shared) -> Result<()> {
    let email = format!("{}@example.org", unique("open"));
    let sid = lab.ask("register", &email, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&email, 1).await?.remove(0);
    // programs that scan mails open links: that confirms nothing
    let path = format!("{}?token={}", super::CONFIRM, super::mailbox::token(&mail));
    let page = lab.nobody().request(Method::GET, &path, None).await?;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(&email), "{}", page.text);
    let (mut body, session) = begin(&lab, &unique("open")).await?;
    body["auth"] = email_stage(&session, &sid, "s3cret");
    Lab::challenged(&lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?);
    lab.follow(&mail).await?;
    // who knows the session but not its secret has nothing
    body["auth"] = email_stage(&session, &sid, "guess");
    Lab::challenged(&lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?);
    body["auth"] = email_stage(&session, &sid, "s3cret");
    lab.nobody().post(REGISTER, &body).await?;
    Ok(())
}

async fn confirmations_for_other_purposes_do_not_count(lab: Shared) -> Result<()> {
    let (_, known) = lab.user_with_email("known").await?;
    let added = lab.confirm("account/3pid", &format!("{}@example.org", unique("other")), "s3cret").await?;
    let reset = lab.ask("account/password", &known, "s3cret", 1).await?;
    let mail = lab.mailbox.wait_for(&known, 2).await?.remove(1);
    assert_eq!(lab.follow(&mail).await?.status, 200);
    for sid in [added, reset] {
        let (mut body, session) = begin(&lab, &unique("other")).await?;
        body["auth"] = email_stage(&session, &sid, "s3cret");
        Lab::challenged(&lab.nobody().request(Method::POST, REGISTER, Some(&body)).await?);
    }
    Ok(())
}

/// The answer is the same; the owner of the address learns of it, and nobody else.
async fn a_known_address_is_not_told(lab: Shared) -> Result<()> {
    let (_, known) = lab.user_with_email("owner").await?;
    let unknown = format!("{}@example.org", unique("nobody"));
    for path in ["register", "account/3pid", "account/password"] {
        for email in [&known, &unknown] {
            let sid = lab.ask(path, email, &unique("secret"), 1).await?;
            assert!(sid.as_str().is_some_and(|sid| sid.len() == 24), "{path} {email}: {sid}");
        }
    }
    let mails = lab.mailbox.wait_for(&known, 4).await?;
    let subjects: Vec<&str> = mails.iter().filter_map(|mail| mail["subject"].as_str()).collect();
    assert_eq!(subjects.iter().filter(|subject| subject.starts_with("You have an account")).count(), 2, "{subjects:?}");
    assert_eq!(subjects.iter().filter(|subject| subject.starts_with("Reset")).count(), 1, "{subjects:?}");
    // the two that can be confirmed, and none about a password that is not there
    let mails = lab.mailbox.wait_for(&unknown, 2).await?;
    assert!(mails.iter().all(|mail| !mail["subject"].as_str().unwrap_or_default().contains("Reset")), "{mails:?}");
    for email in ["", "x", "a@b@c", "a\u{0}@example.org", "a@example.org\nBcc: x@example.org"] {
        let body = json!({ "email": email, "client_secret": "s", "send_attempt": 1 });
        let path = "/_matrix/client/v3/register/email/requestToken";
        let reply = lab.nobody().request(Method::POST, path, Some(&body)).await?;
        assert_eq!(reply.status, 400, "{email:?}: {}", reply.text);
    }
    let body = json!({ "email": unknown, "client_secret": "s", "send_attempt": 1, "next_link": "javascript:alert(1)" });
    let path = "/_matrix/client/v3/register/email/requestToken";
    expect_error(&lab.nobody().request(Method::POST, path, Some(&body)).await?, 400, "M_INVALID_PARAM");
    Ok(())
}
