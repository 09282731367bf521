//! `matrixon admin check`: one line a thing, and what to do about what is wrong.

use std::time::Duration;

use anyhow::{Result, ensure};
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_runtime::clock::Clock;
use matrixon_store::{Db, migrations};
use tokio::time::{Instant, sleep};

use super::super::show;
use crate::{
    connect::{connect, without_password},
    failure::Failure,
    settings::Settings,
};

/// Tokens, assertions and signatures do not mind a smaller one.
const SKEW_MS: i64 = 5_000;
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found: well, or what to do.
type Finding = Result<String, String>;

pub(super) async fn check(settings: &Settings) -> Result<()> {
    // Somebody may have installed it before.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut faults = 0;
    let mut tell = |what: &str, finding: Finding| match finding {
        Ok(text) => show(format_args!("ok    {what:<12} {text}")),
        Err(advice) => {
            faults += 1;
            show(format_args!("FAULT {what:<12} {advice}"));
        }
    };
    tell("configuration", settings.check().map(|()| "complete".to_owned()).map_err(|error| format!("{error:#}")));
    tell("dns", dns(settings).await);
    for (what, finding) in well_known(settings).await {
        tell(what, finding);
    }
    match database(settings).await {
        Ok((db, text)) => {
            tell("database", Ok(text));
            tell("schema", schema(&db).await);
            tell("clock", clock(&db).await);
            db.close().await;
        }
        Err(advice) => tell("database", Err(advice)),
    }
    tell("bus", bus(settings).await);
    tell("cache", cache(settings).await);
    ensure!(faults == 0, Failure::failed(format!("{faults} faults")));
    Ok(())
}

async fn dns(settings: &Settings) -> Finding {
    let name = &settings.config.server.name;
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(8448)),
        _ => (name.as_str(), 8448),
    };
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            Ok(format!("{host} is {}", addresses.join(", ")))
        }
        Ok(Err(error)) => Err(format!(
            "{host} has no address ({error}): make an A or AAAA record that leads to the gateway or its proxy"
        )),
        Err(_) => {
            Err("the name server does not answer: look at /etc/resolv.conf and its way through the firewall".to_owned())
        }
    }
}

/// What clients and servers ask before anything else; with it TLS is looked at, too.
async fn well_known(settings: &Settings) -> Vec<(&'static str, Finding)> {
    let name = &settings.config.server.name;
    let client = match reqwest::Client::builder().timeout(PATIENCE).build() {
        Ok(client) => client,
        Err(error) => return vec![("tls", Err(format!("TLS cannot be used here: {error}")))],
    };
    let mut findings = Vec::new();
    let server = &settings.config.server;
    let documents = [
        ("client", server.client_base_url.is_some(), "server.client_base_url"),
        ("server", server.federation_base_url.is_some(), "server.federation_base_url"),
    ];
    for (document, configured, key) in documents {
        let what = if document == "client" { "client" } else { "federation" };
        if !configured {
            findings.push((what, Ok(format!("`{key}` is not set: no delegation, {name} itself is asked"))));
            continue;
        }
        let url = format!("https://{name}/.well-known/matrix/{document}");
        findings.push((
            what,
            match client.get(&url).send().await {
                Ok(response) if response.status().is_success() => Ok(format!("{url} answers, its certificate is good")),
                Ok(response) => Err(format!(
                    "{url} answers {}: let the proxy of {name} pass /.well-known/matrix/ on to the gateway",
                    response.status().as_u16()
                )),
                Err(error) => Err(format!(
                    "{url} cannot be fetched ({}): look at the certificate of {name} and its proxy",
                    innermost(&error)
                )),
            },
        ));
    }
    findings
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

async fn database(settings: &Settings) -> Result<(Db, String), String> {
    let config = &settings.config.database;
    let db = connect(config).await.map_err(|error| format!("{error:#}"))?;
    Ok((db, format!("{} answers", without_password(&config.url))))
}

async fn schema(db: &Db) -> Finding {
    let version = migrations::check(db).await.map_err(|error| error.to_string())?;
    let latest = migrations::latest();
    if version < latest {
        return Err(format!("version {version}, and this binary brings {latest}: run `matrixon database migrate`"));
    }
    Ok(format!("version {version}, this binary works with {} to {}", migrations::SCHEMA_MIN, migrations::SCHEMA_MAX))
}

/// Against the database, which all processes share.
async fn clock(db: &Db) -> Finding {
    let theirs = db.now_ms().await.map_err(|error| error.to_string())?;
    let skew = (Clock::system().now_ms() - theirs).abs();
    if skew > SKEW_MS {
        return Err(format!("{skew} ms apart from the database's: run an NTP client on both machines"));
    }
    Ok(format!("{skew} ms apart from the database's"))
}

async fn bus(settings: &Settings) -> Finding {
    let config = &settings.config.bus;
    if config.url == "local" {
        return Ok("within the process".to_owned());
    }
    let bus = Bus::connect(config).await.map_err(|error| error.to_string())?;
    if connected(|| bus.is_connected()).await {
        return Ok(format!("{} is connected", without_password(&config.url)));
    }
    Err(format!(
        "{} is away: check `bus.url`, `bus.user` and `bus.password`; until then events arrive within 500 ms instead of milliseconds",
        without_password(&config.url)
    ))
}

async fn cache(settings: &Settings) -> Finding {
    let config = &settings.config.cache;
    if config.url == "local" {
        return Ok("within the process".to_owned());
    }
    let cache = Cache::connect(config).await.map_err(|error| error.to_string())?;
    if connected(|| cache.is_connected()).await {
        return Ok(format!("{} is connected", without_password(&config.url)));
    }
    Err(format!(
        "{} is away: check `cache.url`, `cache.user` and `cache.password`; until then rate limits count per gateway",
        without_password(&config.url)
    ))
}

async fn connected(is: impl Fn() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is() && Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
    }
    is()
}
