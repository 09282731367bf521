//! Canaries: what must stay secret is planted, used, and looked for in everything that the server says.

use std::fs;

use anyhow::{Context as _, Result};

use super::{BACKUP_KEY, run};
use crate::{
    env::{Env, Shared},
    metrics::scrape,
};
use matrixon_testkit::client::{Method, PASSWORD};
use serde_json::json;

const MESSAGE: &str = "canary of a private message";

/// What must not be said, with its name.
fn secrets(env: &Env, token: &str) -> Result<Vec<(&'static str, String)>> {
    let state = env.own()?.state()?;
    let text = fs::read_to_string(&state.processes.first().context("no process")?.command[2])?;
    let config: toml::Table = toml::from_str(&text)?;
    let of = |section: &str, key: &str| {
        let value = config.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_str);
        value.map(ToOwned::to_owned).with_context(|| format!("no {section}.{key}"))
    };
    let key = fs::read_to_string(of("server", "signing_key_path")?)?;
    let seed = key.split_whitespace().last().context("no signing key")?.to_owned();
    Ok(vec![
        ("cluster secret", of("cluster", "secret")?),
        ("signing key", seed),
        ("backup key", BACKUP_KEY.to_owned()),
        ("password", PASSWORD.to_owned()),
        ("access token", token.to_owned()),
        ("message", MESSAGE.to_owned()),
    ])
}

pub(super) async fn nothing_secret_is_said(env: Shared) -> Result<()> {
    let alice = env.user("canary").await?;
    let room = env.room(&alice, &[]).await?;
    alice.send(&room, MESSAGE).await?;
    alice.login(alice.localpart()).await?;
    // mistakes are what gets logged
    let wrong = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": alice.localpart() },
        "password": format!("{PASSWORD} and more") });
    assert_eq!(alice.request(Method::POST, "/_matrix/client/v3/login", Some(&wrong)).await?.status, 403);
    let token = alice.token.clone().context("no token")?;
    for path in [
        format!("/_matrix/client/v3/sync?since=garbage&access_token={token}"),
        format!("/_matrix/client/v3/nothing?access_token={token}"),
    ] {
        alice.request(Method::GET, &path, None).await?;
    }
    let mut said = vec![
        ("metrics".to_owned(), scrape(&env).await?),
        ("admin status".to_owned(), run(&env, &["admin", "status", "--json", "--detailed"]).await?),
        ("config check".to_owned(), run(&env, &["config", "check"]).await?),
        ("admin reload".to_owned(), run(&env, &["admin", "reload"]).await?),
    ];
    for process in env.own()?.state()?.processes {
        let name = format!("{} {}", process.role, process.index);
        let arguments = fs::read(format!("/proc/{}/cmdline", process.pid.context("not running")?))?;
        said.push((format!("the arguments of {name}"), String::from_utf8_lossy(&arguments).into_owned()));
        let log = fs::read_to_string(&process.log)?;
        // the one process has nobody to say anything about
        assert!(
            log.contains("DEBUG") || process.role == "all",
            "{name} does not log at `debug`, so this proves little"
        );
        said.push((format!("the log of {name}"), log));
    }
    for (secret, value) in secrets(&env, &token)? {
        for (place, text) in &said {
            if let Some(at) = text.find(&value) {
                let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
                let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
                panic!("{place} says the {secret}: {}", &text[line..end]);
            }
        }
    }
    Ok(())
}
