//! What operators do to a running server, with the real commands: look, drain, reload, back up, restore. Nothing secret shows.

mod audit;
mod backup;
mod secrets;

use std::{
    fs,
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{
    Cluster,
    cluster::{ProcessState, Profile, Topology},
    process, tests,
};
use serde_json::Value;

use crate::env::{Env, Shared};

tests![Env: every_replica_is_found, levels_and_reloads_reach_everybody, operations_are_in_the_audit_log,
    flame_graphs_are_drawn_where_they_are_allowed, strangers_are_refused, one_replica_drains,
    the_cluster_secret_rotates, nothing_secret_is_said, a_backup_brings_everybody_back];

use self::{
    audit::operations_are_in_the_audit_log, backup::a_backup_brings_everybody_back, secrets::nothing_secret_is_said,
};

const WELL_WITHIN: Duration = Duration::from_secs(20);
/// Planted: it must show nowhere.
pub(crate) const BACKUP_KEY: &str = "canary-of-the-backup-key-0123456789";

pub(crate) fn start(topology: Topology) -> Result<Env> {
    let options = Env::options().with_profile(Profile::Load);
    let options = options
        .with("telemetry.log_level", "debug")
        .with("telemetry.profiling", true)
        .with("cluster.require_signed_calls", true)
        .with("backup.encryption_key", BACKUP_KEY);
    Env::start_with(topology, &options)
}

impl Env {
    pub(crate) fn own(&self) -> Result<&Cluster> {
        self.cluster.as_ref().context("this needs a cluster of our own")
    }
}

/// The program with the configuration of the first process.
pub(crate) async fn matrixon(env: &Env, args: &[&str]) -> Result<Output> {
    matrixon_with(env, &[], args).await
}

pub(crate) async fn matrixon_with(env: &Env, variables: &[(&str, &str)], args: &[&str]) -> Result<Output> {
    let state = env.own()?.state()?;
    let command = &state.processes.first().context("no process")?.command;
    let mut program = tokio::process::Command::new(&command[0]);
    program.args(&command[1..3]).args(args).envs(variables.iter().copied());
    Ok(program.output().await?)
}

/// It must succeed; what it printed.
pub(crate) async fn run(env: &Env, args: &[&str]) -> Result<String> {
    let output = matrixon(env, args).await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{args:?}: {}\n{out}{err}", output.status);
    Ok(out.into_owned())
}

async fn status(env: &Env) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&run(env, &["admin", "status", "--json"]).await?)?)
}

fn address(process: &ProcessState) -> Result<String> {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(&process.command[2])?)?;
    let listen = config.get("listen").and_then(|listen| listen.get("cluster")).and_then(toml::Value::as_str);
    listen.map(ToOwned::to_owned).context("no cluster port")
}

/// Does every replica say of itself what it must while all is well?
fn check_status(processes: &[ProcessState], found: &[Value]) -> Result<()> {
    ensure!(found.len() == processes.len(), "{found:#?}");
    for process in processes {
        let wanted = address(process)?;
        let one = found.iter().find(|one| one["address"] == wanted.as_str()).context("a replica is missing")?;
        let status = &one["status"];
        let state = (status["ready"].as_bool(), status["draining"].as_bool(), status["version"].as_str());
        let well = (Some(true), Some(false), Some(env!("CARGO_PKG_VERSION")));
        ensure!(state == well, "{one}");
        if process.role == "sync" || process.role == "all" {
            let streams = status["streams"].as_array().context("no streams")?;
            ensure!(streams.iter().any(|stream| stream["stream"] == "events" && stream["lag"] == 0), "{one}");
            ensure!(status["schema"]["database"] == status["schema"]["brings"], "{one}");
            ensure!(status["pool"]["max"].as_u64() > Some(0), "{one}");
        }
    }
    Ok(())
}

async fn every_replica_is_found(env: Shared) -> Result<()> {
    is_well(&env).await?;
    let processes = env.own()?.state()?.processes;
    let end = Instant::now() + WELL_WITHIN;
    while let Err(error) = check_status(&processes, &status(&env).await?) {
        ensure!(Instant::now() < end, "{error:#}");
    }
    let text = run(&env, &["admin", "status", "--detailed"]).await?;
    assert!(text.contains("stream events at ") && text.contains("schema "), "{text}");
    let metrics: Value = serde_json::from_str(&run(&env, &["admin", "metrics", "--json"]).await?)?;
    let metrics = metrics.as_object().context("no object")?;
    assert_eq!(metrics.len(), processes.len());
    assert!(
        metrics.values().all(|metrics| metrics["process_resident_memory_bytes"].as_f64() > Some(1e6)),
        "{metrics:?}"
    );
    Ok(())
}

async fn levels_and_reloads_reach_everybody(env: Shared) -> Result<()> {
    let count = env.own()?.state()?.processes.len();
    let text = run(&env, &["admin", "log-level", "info,matrixon_room=debug"]).await?;
    assert_eq!(text.matches(": info,matrixon_room=debug").count(), count, "{text}");
    let refused = matrixon(&env, &["admin", "log-level", "loud=very"]).await?;
    assert_eq!(refused.status.code(), Some(1));
    let text = run(&env, &["admin", "reload"]).await?;
    assert_eq!(text.matches("telemetry.log_level: reloaded").count(), count, "{text}");
    let stores = if count > 1 { count } else { 0 };
    for part in ["cache.password", "bus.password"] {
        assert_eq!(text.matches(&format!("{part}: reloaded")).count(), stores, "{text}");
    }
    let unknown = matrixon(&env, &["admin", "reload", "nobody"]).await?;
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(1) && message.contains("there is no `nobody`"), "{message}");
    Ok(())
}

async fn flame_graphs_are_drawn_where_they_are_allowed(env: Shared) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("cpu.svg");
    let output = file.to_str().context("no UTF-8")?;
    let processes = env.own()?.state()?.processes;
    let address = address(&processes[0])?;
    let profile = |kind: &'static str, target: String, output: String| {
        let (env, address, log) = (env.clone(), address.clone(), processes[0].log.clone());
        let arguments = ["admin", "profile", kind, &target, "--seconds", "2", "--output", &output];
        let arguments = arguments.map(ToOwned::to_owned);
        async move {
            let arguments = arguments.each_ref().map(String::as_str);
            // an idle process may use less CPU than one sample, and then there is nothing to draw
            tokio::select! {
                output = matrixon(&env, &arguments) => output,
                error = keep_busy(&address) => Err(error.context(process::tail(&log, 20))),
            }
        }
    };
    let to_file = |kind, target: &str| profile(kind, target.to_owned(), output.to_owned());
    let drawn = to_file("cpu", &address).await?;
    let (said, svg) = (String::from_utf8_lossy(&drawn.stdout).into_owned(), fs::read_to_string(&file)?);
    assert!(drawn.status.success() && said.contains(&address) && said.contains(output), "{said}");
    // whatever it did meanwhile, it was the runtime that did it
    assert!(svg.contains("<svg") && svg.contains("tokio"), "{}", svg.len());
    let again = to_file("cpu", &address).await?;
    let message = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && message.contains("exists"), "{message}");
    fs::remove_file(&file)?;
    // what it keeps of what it allocated meanwhile may be less than one sample
    let heap = to_file("heap", &address).await?;
    let message = String::from_utf8_lossy(&heap.stderr).into_owned();
    assert!(heap.status.success() || message.contains("nothing of what was allocated"), "{message}");
    assert_eq!(heap.status.success(), file.exists(), "{message}");
    let printed = profile("cpu", address.clone(), "-".to_owned()).await?;
    assert!(String::from_utf8_lossy(&printed.stdout).contains("</svg>"), "{printed:?}");
    if processes.len() > 1 {
        let many = to_file("cpu", "all").await?;
        let message = String::from_utf8_lossy(&many.stderr).into_owned();
        assert!(many.status.code() == Some(1) && message.contains("is more than one replica"), "{message}");
    }
    Ok(())
}

/// Asks until it is dropped; ends only with an error.
async fn keep_busy(address: &str) -> anyhow::Error {
    let (client, url) = (reqwest::Client::new(), format!("http://{address}/_matrixon/process/metrics"));
    loop {
        if let Err(error) = client.get(&url).send().await {
            return error.into();
        }
    }
}

async fn strangers_are_refused(env: Shared) -> Result<()> {
    let secret = [("MATRIXON__CLUSTER__SECRET", "another secret of more than 32 characters")];
    let output = matrixon_with(&env, &secret, &["admin", "status", "--json"]).await?;
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    assert!(!found.is_empty());
    for one in &found {
        assert!(one["error"].as_str().is_some_and(|error| error.starts_with("401: ")), "{one}");
    }
    let process = &env.own()?.state()?.processes[0];
    let url = format!("http://{}/_matrixon/process/metrics", address(process)?);
    assert_eq!(reqwest::get(&url).await?.status(), 401);
    // nor does a role answer calls that are not signed
    let processes = env.own()?.state()?.processes;
    let callee = processes.iter().find(|process| process.role == "auth").unwrap_or(&processes[0]);
    let url = format!("http://{}/matrixon.auth.v1.Auth/GetProfiles", self::address(callee)?);
    for content_type in [None, Some("application/grpc"), Some("application/json")] {
        let call = reqwest::Client::new().post(&url).body(vec![0; 5]);
        let call = match content_type {
            Some(value) => call.header("content-type", value),
            None => call,
        };
        let status = call.send().await?.headers().get("grpc-status").cloned();
        assert_eq!(status.context("no gRPC status")?, "16", "{content_type:?}");
    }
    // and nobody reaches it through the front door
    let reply = env.nobody().request(reqwest::Method::GET, "/_matrixon/process/status", None).await?;
    assert_eq!((reply.status, reply.errcode()), (404, "M_UNRECOGNIZED"));
    Ok(())
}

/// In every configuration file `cluster.secret` and `cluster.previous_secret`, then a reload of all.
async fn set_secrets(env: &Env, secret: &str, previous: &str) -> Result<()> {
    for process in env.own()?.state()?.processes {
        let file = &process.command[2];
        let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(file)?)?;
        let cluster = config.get_mut("cluster").and_then(toml::Value::as_table_mut).context("no section cluster")?;
        cluster.insert("secret".to_owned(), secret.into());
        cluster.insert("previous_secret".to_owned(), previous.into());
        std::fs::write(file, toml::to_string(&config)?)?;
    }
    run(env, &["admin", "reload"]).await?;
    Ok(())
}

async fn the_cluster_secret_rotates(env: Shared) -> Result<()> {
    let alice = env.user("rotating").await?;
    let state = env.own()?.state()?;
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(&state.processes[0].command[2])?)?;
    let old = config["cluster"]["secret"].as_str().context("no secret")?.to_owned();
    let new = "the new secret of the cluster, long enough";
    // everybody accepts the new one, everybody uses it, nobody accepts the old one
    for (secret, previous) in [(old.as_str(), new), (new, old.as_str()), (new, "")] {
        set_secrets(&env, secret, previous).await?;
        for _ in 0..10 {
            alice.get("/_matrix/client/v3/account/whoami").await?;
        }
    }
    let stale = [("MATRIXON__CLUSTER__SECRET", old.as_str())];
    let output = matrixon_with(&env, &stale, &["admin", "health"]).await?;
    assert_eq!(output.status.code(), Some(1), "the old secret still counts");
    is_well(&env).await
}

async fn one_replica_drains(env: Shared) -> Result<()> {
    let role = matrixon(&env, &["admin", "drain", "sync"]).await?;
    assert_eq!(role.status.code(), Some(1), "a role is more than one replica");
    let processes = env.own()?.state()?.processes;
    let Some(process) = processes.iter().find(|process| process.role == "sync") else { return Ok(()) };
    let text = run(&env, &["admin", "drain", &address(process)?]).await?;
    assert!(text.contains("draining"), "{text}");
    let pid = process.pid;
    while env.own()?.is_alive(pid) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let drains = audit::records(&env, "process.drain").await?;
    let (target, result) = (&drains[0]["target"], &drains[0]["result"]);
    assert_eq!((target, result), (&address(process)?.into(), &"asked".into()), "{drains:#?}");
    let health = matrixon(&env, &["admin", "health"]).await?;
    assert_eq!(health.status.code(), Some(1), "{}", String::from_utf8_lossy(&health.stdout));
    let again = env.clone();
    tokio::task::spawn_blocking(move || again.own()?.start("sync", 0)).await??;
    is_well(&env).await
}

/// Sooner or later: what has started a moment ago may still be catching up.
async fn is_well(env: &Env) -> Result<()> {
    let well = format!("all {} replicas are well", env.own()?.state()?.processes.len());
    let end = Instant::now() + WELL_WITHIN;
    loop {
        let output = matrixon(env, &["admin", "health"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && said.trim() == well {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
