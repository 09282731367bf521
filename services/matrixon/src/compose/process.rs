//! A process from its first port to its last request.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{http::StatusCode, middleware};
use matrixon_auth::admin::ensure_bootstrap_token;
use matrixon_http::{MatrixError, Verifier};
use matrixon_rpc::server_router;
use matrixon_runtime::{
    health::internal_router,
    metrics,
    serve::{self, ServeOptions},
    shutdown::{Shutdown, run_signals},
    telemetry::LevelHandle,
};
use matrixon_store::Db;
use tokio::task::JoinHandle;

use super::{
    base::Base,
    calls,
    ports::Ports,
    roles::{self, Roles},
};
use crate::{
    operate, run_file,
    settings::{Settings, check_secret, read_database_url},
};

/// What role tasks may take to write what is pending, after everything has stopped.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs a process until a signal has ended it. `path` is the configuration file as given on the command line.
pub(crate) async fn serve(settings: Settings, path: Option<PathBuf>, level: LevelHandle) -> Result<()> {
    let (shutdown, started) = (Shutdown::new(), Instant::now());
    let ports = Ports::bind(&settings).await?;
    for role in &settings.roles {
        metrics::set_build_info(role.as_str(), env!("CARGO_PKG_VERSION"));
    }
    let base = Base::connect(settings, path, shutdown.clone()).await?;
    let Roles { routers, tasks, front } = roles::build(&base).await?;
    let operated = level.clone();
    base.on_reload("telemetry.log_level", move |config| {
        level.set(&config.telemetry.log_level).map_err(|error| error.to_string())
    });
    let profiler = operate::Profiler::default();
    profiler.set(base.settings.config.telemetry.profiling);
    let switched = profiler.clone();
    base.on_reload("telemetry.profiling", move |config| {
        switched.set(config.telemetry.profiling);
        Ok(())
    });

    let config = &base.settings.config;
    let service = base.settings.service_name();
    let tls = config.listen.tls_certificate.is_some();
    let ready_line = ports.ready_line(base.server_name.as_str(), &service, tls)?;
    let mut serving = Vec::new();
    if let (Some(front), Some((client, federation))) = (front, ports.public) {
        serving.extend(front.serve((client, federation), ports.admin, &shutdown));
    }
    let health = base.health.clone();
    let process = operate::Process {
        service: service.clone(),
        roles: base.settings.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        db: base.db().ok(),
        max_connections: config.database.max_connections,
        bus: base.bus.clone(),
        cache: base.cache.clone(),
        health: base.health.clone(),
        shutdown: shutdown.clone(),
        reload: base.reload.clone(),
        level: operated,
        profiler,
        started,
    };
    let operators = operate::verifier(&config.cluster, base.clock.clone());
    rotate_secrets(&base, operators.clone());
    rotate_passwords(&base);
    let operator = operate::router(process, operators);
    let routers = server_router(routers, move || health.accepting().is_ok());
    let checked = routers.layer(middleware::from_fn_with_state(base.calls.clone(), calls::check));
    let cluster = checked.merge(operator).fallback(unrecognized);
    let cluster_address = ports.cluster.local_addr()?.to_string();
    let cluster_options = ServeOptions::cluster(&service, shutdown.clone());
    serving.push(tokio::spawn(serve::run(ports.cluster, cluster, cluster_options)));
    let internal = internal_router(base.health.clone());
    let internal_options = ServeOptions::public("internal", shutdown.clone());
    serving.push(tokio::spawn(serve::run(ports.internal, internal, internal_options)));
    let signals = tokio::spawn(run_signals(shutdown.clone(), config.shutdown.clone(), base.reload.clone()));

    let _run_file =
        if base.settings.embedded { Some(run_file::write(&config.server.data_dir, &cluster_address)?) } else { None };
    base.health.set_started();
    announce(&base, &ready_line).await?;
    shutdown.wait_stopped().await;
    finish(serving, tasks).await;
    base.close().await;
    signals.await.context("the signal task failed")??;
    tracing::info!("stopped");
    Ok(())
}

/// Unknown paths of the cluster port.
async fn unrecognized() -> MatrixError {
    MatrixError::unrecognized(StatusCode::NOT_FOUND)
}

async fn announce(base: &Base, ready_line: &str) -> Result<()> {
    let created = base.settings.created.iter().map(|(what, path)| format!("created the {what} {}", path.display()));
    let mut lines: Vec<String> = created.chain([ready_line.to_owned()]).collect();
    if base.settings.embedded {
        lines.extend(first_account_message(&base.db()?).await?);
    }
    let text = lines.join("\n") + "\n";
    let mut out = io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// How to make the first account; nothing once there is one.
async fn first_account_message(db: &Db) -> Result<Option<String>> {
    let token = ensure_bootstrap_token(db).await?;
    Ok(token.map(|token| format!("register the first account, an administrator, with the registration token {token}")))
}

async fn finish(serving: Vec<JoinHandle<()>>, tasks: Vec<JoinHandle<()>>) {
    let all = async {
        for task in serving.into_iter().chain(tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the process failed");
            }
        }
    };
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        tracing::warn!("background tasks did not end in time");
    }
}

/// Connections to the database, the cache and the bus are made as the configuration says at the last reload.
fn rotate_passwords(base: &Base) {
    if let Some(db) = base.db().ok().filter(Db::is_postgres) {
        base.on_reload("database.url", move |mut config| {
            read_database_url(&mut config).map_err(|error| format!("{error:#}"))?;
            db.set_credentials(&config.database).map_err(|error| error.to_string())
        });
    }
    if base.settings.config.cache.url != "local" {
        let cache = base.cache.clone();
        base.on_reload("cache.password", move |config| {
            cache.set_credentials(&config.cache).map_err(|error| error.to_string())
        });
    }
    if base.settings.config.bus.url != "local" {
        let bus = base.bus.clone();
        base.on_reload("bus.password", move |config| {
            bus.set_credentials(&config.bus).map_err(|error| error.to_string())
        });
    }
}

/// `cluster.secret` and `previous_secret` count as the configuration has them at a reload.
fn rotate_secrets(base: &Base, operators: Verifier) {
    let (verifier, calls) = (base.verifier.clone(), base.calls.clone());
    base.on_reload("cluster.secret", move |config| {
        let secrets = &config.cluster;
        // an embedded process keeps its own in a file that nobody rotates while it runs
        if secrets.secret.is_empty() {
            return Ok(());
        }
        check_secret(&secrets.secret).map_err(|error| error.to_string())?;
        let previous = Some(secrets.previous_secret.expose().as_bytes()).filter(|previous| !previous.is_empty());
        verifier.set_secrets(secrets.secret.expose().as_bytes(), previous);
        operate::set_secrets(&operators, secrets);
        calls.set(secrets);
        Ok(())
    });
}
