//! User-interactive authentication, e-mail, passwords and web pages, on a server of their own that asks for all of it:
//! with a real SMTP server, a real browser, and a captcha provider and an identity server played by [`third_parties`].

mod browser;
mod expiry;
mod login;
mod mailbox;
mod pages;
mod passwords;
mod registration;
mod sessions;
mod third_parties;
mod threepids;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, Reply, unique},
    cluster::Topology,
    suite::Test,
};
use serde_json::{Value, json};

use self::{mailbox::Mailbox, third_parties::ThirdParties};
use crate::env::{Env, expect_error};

pub(crate) const REGISTER: &str = "/_matrix/client/v3/register";
pub(crate) const LOGIN: &str = "/_matrix/client/v3/login";
pub(crate) const CONFIRM: &str = "/_matrix/client/unstable/org.matrixon/email/confirm";

/// What the tests of this module stand on.
pub(crate) struct Lab {
    pub env: Env,
    pub mailbox: Mailbox,
    pub third_parties: ThirdParties,
}

pub(crate) type Shared = Arc<Lab>;

pub(crate) fn all() -> Vec<Test<Lab>> {
    [sessions::all(), registration::all(), threepids::all(), passwords::all(), login::all(), pages::all()]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn faults() -> Vec<Test<Lab>> {
    threepids::faults()
}

/// Those for which links must end soon.
pub(crate) fn hasty() -> Vec<Test<Lab>> {
    expiry::all()
}

/// The directory into which `.ci/install` puts what the tests need.
pub(crate) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/matrixon"));
    std::env::var_os("MATRIXON_CACHE").map(PathBuf::from).or_else(home).unwrap_or_default()
}

pub(crate) fn start(topology: Topology) -> Result<Lab> {
    start_with(topology, &[])
}

/// A mail whose process has died is soon another's.
pub(crate) fn start_for_faults(topology: Topology) -> Result<Lab> {
    start_with(topology, &[("auth.email.timeout_seconds", 5)])
}

/// Long enough for a mail to be put off once and read, and short enough to be waited for.
pub(crate) fn start_hasty(topology: Topology) -> Result<Lab> {
    start_with(topology, &[("auth.email.link_seconds", 20)])
}

fn start_with(topology: Topology, more: &[(&str, i64)]) -> Result<Lab> {
    let mailbox = Mailbox::start()?;
    let third_parties = ThirdParties::start()?;
    let document = |title: &str| {
        toml::toml! {
            [en]
            name = "Terms"
            url = "https://example.org/terms-en.html"
            [de]
            name = "Bedingungen"
            url = "https://example.org/terms-de.html"
        }
        .into_iter()
        .map(|(language, mut document)| {
            document["name"] = format!("{title} ({language})").into();
            (language, document)
        })
        .collect::<toml::Table>()
    };
    let certificate = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../gateway/testdata/first.crt");
    let options = Env::options()
        .with("server.client_base_url", "https://matrix.example.org/")
        .with("auth.open_registration", true)
        .with("auth.token_registration", false)
        .with("auth.password.memory_kib", 64)
        .with("auth.password.iterations", 1)
        .with("auth.password.require_digit", true)
        .with("auth.registration.require_captcha", true)
        .with("auth.registration.require_terms", true)
        .with("auth.captcha.site_key", "public key")
        .with("auth.captcha.secret_key", "secret key")
        .with("auth.captcha.verify_url", third_parties.url("/siteverify"))
        .with("auth.captcha.script_url", third_parties.url("/captcha.js"))
        .with("auth.terms.privacy_policy.version", "1.2")
        .with("auth.terms.privacy_policy.languages", document("Privacy"))
        .with("auth.email.host", "localhost")
        .with("auth.email.port", i64::from(mailbox.port()))
        .with("auth.email.username", "matrixon")
        .with("auth.email.password", "smtp password")
        .with("auth.email.from", "Matrixon <matrix@example.org>")
        .with("auth.email.app_name", "Example & Co")
        .with("auth.email.ca_certificate", certificate.display().to_string())
        .with("auth.email.per_client_per_hour", 10_000)
        .with("auth.identity_servers", vec![third_parties.url("")])
        .with("egress.allow", vec!["127.0.0.1".to_owned()])
        .with("gateway.rate_limits.enabled", false);
    let options = more.iter().fold(options, |options, (key, value)| options.with(key, *value));
    Ok(Lab { env: Env::start_with(topology, &options)?, mailbox, third_parties })
}

/// A digit is asked for.
pub(crate) fn strong(text: &str) -> String {
    format!("{text} {PASSWORD} 7")
}

pub(crate) fn creds(sid: &Value, client_secret: &str) -> Value {
    json!({ "sid": sid, "client_secret": client_secret })
}

/// The session ends at every gateway; those that did not end it themselves hear of it in a moment.
pub(crate) async fn expect_ended(client: &Client) -> Result<()> {
    let started = Instant::now();
    for gateway in 0..client.gateways() {
        let pinned = client.pinned(gateway);
        loop {
            let reply = pinned.request(Method::GET, "/_matrix/client/v3/account/whoami", None).await?;
            if reply.status == 401 {
                expect_error(&reply, 401, "M_UNKNOWN_TOKEN");
                break;
            }
            ensure!(started.elapsed() < Duration::from_secs(5), "the session goes on: {}", reply.text);
        }
    }
    Ok(())
}

impl Lab {
    pub(crate) fn nobody(&self) -> Client {
        self.env.nobody()
    }

    /// The session of a challenge, which this must be.
    #[track_caller]
    pub(crate) fn challenged(reply: &Reply) -> Value {
        assert_eq!(reply.status, 401, "{}", reply.text);
        assert!(reply.body["flows"].is_array() && reply.body["session"].is_string(), "{}", reply.text);
        reply.body["session"].clone()
    }

    /// A new account through captcha and terms, without an address.
    pub(crate) async fn user(&self, name: &str) -> Result<Client> {
        let nobody = self.nobody();
        let mut body = json!({ "username": unique(name), "password": strong("first") });
        let session = Self::challenged(&nobody.request(Method::POST, REGISTER, Some(&body)).await?);
        let mut done = Value::Null;
        for auth in [
            json!({ "type": "m.login.recaptcha", "response": "human" }),
            json!({ "type": "m.login.terms" }),
            json!({ "type": "m.login.dummy" }),
        ] {
            body["auth"] = auth;
            body["auth"]["session"] = session.clone();
            done = nobody.request(Method::POST, REGISTER, Some(&body)).await?.body;
        }
        let mut client = nobody.with_token(done["access_token"].as_str().with_context(|| done.to_string())?);
        done["user_id"].as_str().unwrap_or_default().clone_into(&mut client.user_id);
        done["device_id"].as_str().unwrap_or_default().clone_into(&mut client.device_id);
        Ok(client)
    }

    /// Asks for a mail and follows its link; the session id.
    pub(crate) async fn confirm(&self, path: &str, email: &str, client_secret: &str) -> Result<Value> {
        let sid = self.ask(path, email, client_secret, 1).await?;
        let mail = self.mailbox.wait_for(email, 1).await?.pop().unwrap_or_default();
        self.follow(&mail).await?;
        Ok(sid)
    }

    pub(crate) async fn ask(&self, path: &str, email: &str, client_secret: &str, attempt: u32) -> Result<Value> {
        let body = json!({ "email": email, "client_secret": client_secret, "send_attempt": attempt });
        Ok(self.nobody().post(&format!("/_matrix/client/v3/{path}/email/requestToken"), &body).await?["sid"].take())
    }

    /// Presses the button of the page that the link in a mail opens.
    pub(crate) async fn follow(&self, mail: &Value) -> Result<Reply> {
        let token = mailbox::token(mail);
        let form = format!("token={token}").into_bytes();
        self.nobody().request_raw(Method::POST, CONFIRM, "application/x-www-form-urlencoded", form).await
    }

    /// An account with a confirmed address.
    pub(crate) async fn user_with_email(&self, name: &str) -> Result<(Client, String)> {
        let client = self.user(name).await?;
        let email = format!("{}@example.org", unique(name));
        let sid = self.confirm("account/3pid", &email, "s3cret").await?;
        self.add(&client, &sid, "s3cret", &strong("first")).await?;
        Ok((client, email))
    }

    pub(crate) async fn add(&self, client: &Client, sid: &Value, client_secret: &str, password: &str) -> Result<Reply> {
        let path = "/_matrix/client/v3/account/3pid/add";
        let mut body = creds(sid, client_secret);
        let session = Self::challenged(&client.request(Method::POST, path, Some(&body)).await?);
        body["auth"] = json!({ "type": "m.login.password", "session": session, "password": password,
            "identifier": { "type": "m.id.user", "user": client.user_id } });
        client.request(Method::POST, path, Some(&body)).await
    }

    pub(crate) async fn login(&self, user: &str, password: &str) -> Result<Reply> {
        let identifier = json!({ "type": "m.id.user", "user": user });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        self.nobody().request(Method::POST, LOGIN, Some(&body)).await
    }
}
