//! Log-in by an e-mail address.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, unique},
    tests,
};
use serde_json::{Value, json};

use super::{LOGIN, Lab, Shared, strong};
use crate::env::expect_error;

tests![Lab: an_address_logs_in, strangers_learn_no_addresses, an_address_taken_away_logs_in_no_more];

/// As it should be said, and as older clients say it.
fn by_address(address: &str, password: &str) -> [Value; 2] {
    let identifier = json!({ "type": "m.id.thirdparty", "medium": "email", "address": address });
    [
        json!({ "type": "m.login.password", "identifier": identifier, "password": password }),
        json!({ "type": "m.login.password", "medium": "email", "address": address, "password": password }),
    ]
}

/// All of these are refused, with one and the same answer.
async fn expect_refused(lab: &Lab, bodies: impl IntoIterator<Item = Value>) -> Result<()> {
    let mut answers = Vec::new();
    for body in bodies {
        let reply = lab.nobody().request(Method::POST, LOGIN, Some(&body)).await?;
        expect_error(&reply, 403, "M_FORBIDDEN");
        answers.push(reply.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    Ok(())
}

async fn an_address_logs_in(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    for address in [email.clone(), email.to_uppercase(), email.replacen('a', "A", 1), format!(" {email} ")] {
        for body in by_address(&address, &strong("first")) {
            let session = lab.nobody().post(LOGIN, &body).await?;
            assert_eq!(session["user_id"], alice.user_id.as_str(), "{body}");
        }
    }
    Ok(())
}

async fn strangers_learn_no_addresses(lab: Shared) -> Result<()> {
    let (_, known) = lab.user_with_email("alice").await?;
    let unknown = format!("{}@example.org", unique("unknown"));
    let mut attempts = Vec::new();
    for (address, password) in
        [(known.as_str(), "wrong"), (&unknown, "wrong"), (&unknown, &strong("first")), ("no address", "wrong")]
    {
        attempts.extend(by_address(address, password));
    }
    let phone = json!({ "type": "m.id.thirdparty", "medium": "msisdn", "address": known });
    attempts.push(json!({ "type": "m.login.password", "identifier": phone, "password": strong("first") }));
    expect_refused(&lab, attempts).await
}

async fn an_address_taken_away_logs_in_no_more(lab: Shared) -> Result<()> {
    let (alice, email) = lab.user_with_email("alice").await?;
    let delete = json!({ "medium": "email", "address": email });
    alice.post("/_matrix/client/v3/account/3pid/delete", &delete).await?;
    let unknown = format!("{}@example.org", unique("unknown"));
    let attempts = [by_address(&email, &strong("first")), by_address(&unknown, &strong("first"))];
    expect_refused(&lab, attempts.into_iter().flatten()).await?;
    assert_eq!(lab.login(&alice.user_id, &strong("first")).await?.status, 200);
    Ok(())
}
