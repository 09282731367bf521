//! Sessions: none completes what it was not made for, whichever replica is asked.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, unique},
    tests,
};
use serde_json::{Value, json};

use super::{Lab, REGISTER, Shared, creds, strong};
use crate::env::expect_error;

tests![Lab: flows_and_params_are_told, stages_add_up_over_replicas, a_failed_stage_says_why,
    sessions_of_other_operations_are_refused, the_body_is_replayed_on_another_replica, polling_undoes_nothing];

async fn flows_and_params_are_told(lab: Shared) -> Result<()> {
    let reply = lab.nobody().request(Method::POST, REGISTER, Some(&json!({}))).await?;
    Lab::challenged(&reply);
    let captcha_and_terms = |end: &str| json!({ "stages": ["m.login.recaptcha", "m.login.terms", end] });
    let flows = json!([captcha_and_terms("m.login.dummy"), captcha_and_terms("m.login.email.identity")]);
    assert_eq!(reply.body["flows"], flows);
    let params = &reply.body["params"];
    assert_eq!(params["m.login.recaptcha"], json!({ "public_key": "public key" }));
    let policy = &params["m.login.terms"]["policies"]["privacy_policy"];
    assert_eq!(policy["version"], "1.2");
    assert_eq!(policy["de"], json!({ "name": "Privacy (de)", "url": "https://example.org/terms-de.html" }));
    assert_eq!(reply.body["completed"], json!([]));
    Ok(())
}

async fn stages_add_up_over_replicas(lab: Shared) -> Result<()> {
    let nobody = lab.nobody();
    let name = unique("stages");
    let body = json!({ "username": name, "password": strong("a") });
    let session = Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&body)).await?);
    let mut completed = Vec::new();
    for auth in [json!({ "type": "m.login.terms" }), json!({ "type": "m.login.recaptcha", "response": "human" })] {
        completed.push(auth["type"].clone());
        let mut auth = json!({ "auth": auth });
        auth["auth"]["session"] = session.clone();
        let reply = nobody.request(Method::POST, REGISTER, Some(&auth)).await?;
        assert_eq!(Lab::challenged(&reply), session);
        let told: Vec<&Value> = reply.body["completed"].as_array().into_iter().flatten().collect();
        assert!(completed.iter().all(|stage| told.contains(&stage)) && told.len() == completed.len(), "{}", reply.text);
    }
    let last = json!({ "auth": { "type": "m.login.dummy", "session": session } });
    let done = nobody.post(REGISTER, &last).await?;
    assert!(done["user_id"].as_str().is_some_and(|user_id| user_id.starts_with(&format!("@{name}:"))), "{done}");
    Ok(())
}

async fn a_failed_stage_says_why(lab: Shared) -> Result<()> {
    let nobody = lab.nobody();
    let session = Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&json!({}))).await?);
    let missing = json!({ "sid": "none", "client_secret": "none" });
    for (auth, errcode) in [
        (json!({ "type": "m.login.recaptcha" }), "M_CAPTCHA_NEEDED"),
        (json!({ "type": "m.login.recaptcha", "response": "robot" }), "M_CAPTCHA_INVALID"),
        (json!({ "type": "m.login.recaptcha", "response": "" }), "M_CAPTCHA_INVALID"),
        (json!({ "type": "m.login.email.identity" }), "M_MISSING_PARAM"),
        (json!({ "type": "m.login.email.identity", "threepid_creds": 7 }), "M_MISSING_PARAM"),
        (json!({ "type": "m.login.email.identity", "threepid_creds": missing }), "M_UNAUTHORIZED"),
        (json!({ "type": "m.login.password", "password": "x" }), "M_UNRECOGNIZED"),
    ] {
        let mut body = json!({ "auth": auth });
        body["auth"]["session"] = session.clone();
        let reply = nobody.request(Method::POST, REGISTER, Some(&body)).await?;
        assert_eq!(Lab::challenged(&reply), session);
        assert_eq!(reply.errcode(), errcode, "{auth}: {}", reply.text);
        assert_eq!(reply.body["completed"], json!([]), "{auth}: {}", reply.text);
    }
    // a provider that is broken is nobody's fault here
    let auth = json!({ "auth": { "type": "m.login.recaptcha", "response": "broken", "session": session } });
    expect_error(&nobody.request(Method::POST, REGISTER, Some(&auth)).await?, 502, "M_UNKNOWN");
    Ok(())
}

async fn sessions_of_other_operations_are_refused(lab: Shared) -> Result<()> {
    let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
    let proof = |session: &Value, user: &str| {
        let identifier = json!({ "type": "m.id.user", "user": user });
        json!({ "type": "m.login.password", "session": session, "password": strong("first"), "identifier": identifier })
    };
    let add = "/_matrix/client/v3/account/3pid/add";
    let change = "/_matrix/client/v3/account/password";
    let mut body = creds(&json!("sid"), "secret");
    let session = Lab::challenged(&alice.request(Method::POST, add, Some(&body)).await?);
    // another endpoint, another user, another body: each with a proof that would be good enough
    let other = json!({ "new_password": strong("b"), "auth": proof(&session, &alice.user_id) });
    expect_error(&alice.request(Method::POST, change, Some(&other)).await?, 403, "M_FORBIDDEN");
    body["auth"] = proof(&session, &bob.user_id);
    expect_error(&bob.request(Method::POST, add, Some(&body)).await?, 403, "M_FORBIDDEN");
    let mut changed = creds(&json!("another"), "secret");
    changed["auth"] = proof(&session, &alice.user_id);
    expect_error(&alice.request(Method::POST, add, Some(&changed)).await?, 403, "M_FORBIDDEN");
    // a session of a registration, whose stages are done but one, deletes nobody's device
    let registration = Lab::challenged(&lab.nobody().request(Method::POST, REGISTER, Some(&json!({}))).await?);
    let device = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    let auth = json!({ "auth": { "session": registration } });
    expect_error(&alice.request(Method::DELETE, &device, Some(&auth)).await?, 403, "M_FORBIDDEN");
    // and the password of somebody else is not the password of alice
    let session = Lab::challenged(&alice.request(Method::DELETE, &device, Some(&json!({}))).await?);
    let auth = json!({ "auth": proof(&session, &bob.user_id) });
    expect_error(&alice.request(Method::DELETE, &device, Some(&auth)).await?, 403, "M_FORBIDDEN");
    alice.get("/_matrix/client/v3/account/whoami").await?;
    Ok(())
}

async fn the_body_is_replayed_on_another_replica(lab: Shared) -> Result<()> {
    let alice = lab.user("alice").await?;
    let path = "/_matrix/client/v3/account/password";
    let body = json!({ "new_password": strong("replayed") });
    // the first request and the second go to different gateways where there are several
    let session = Lab::challenged(&alice.pinned(0).request(Method::POST, path, Some(&body)).await?);
    let auth =
        json!({ "type": "m.login.password", "session": session, "password": strong("first"), "user": alice.user_id });
    alice.pinned(1).post(path, &json!({ "auth": auth })).await?;
    assert_eq!(lab.login(&alice.user_id, &strong("replayed")).await?.status, 200);
    assert_eq!(lab.login(&alice.user_id, &strong("first")).await?.status, 403);
    // a session that is done is done
    let again = alice.request(Method::POST, path, Some(&json!({ "auth": { "session": session } }))).await?;
    expect_error(&again, 400, "M_MISSING_PARAM");
    Ok(())
}

/// Clients ask again and again while a person does a stage elsewhere.
async fn polling_undoes_nothing(lab: Shared) -> Result<()> {
    let nobody = lab.nobody();
    let session = Lab::challenged(&nobody.request(Method::POST, REGISTER, Some(&json!({}))).await?);
    let poll = json!({ "auth": { "session": session } });
    let stages = [
        json!({ "auth": { "type": "m.login.terms", "session": session } }),
        json!({ "auth": { "type": "m.login.recaptcha", "response": "human", "session": session } }),
    ];
    let polls = async {
        for _ in 0..30 {
            nobody.request(Method::POST, REGISTER, Some(&poll)).await?;
        }
        anyhow::Ok(())
    };
    let both = async {
        let (first, second) = futures::join!(
            nobody.request(Method::POST, REGISTER, Some(&stages[0])),
            nobody.request(Method::POST, REGISTER, Some(&stages[1]))
        );
        first?;
        second?;
        anyhow::Ok(())
    };
    let (polled, completed) = futures::join!(polls, both);
    polled?;
    completed?;
    let reply = nobody.request(Method::POST, REGISTER, Some(&poll)).await?;
    assert_eq!(reply.body["completed"].as_array().map(Vec::len), Some(2), "{}", reply.text);
    Ok(())
}
