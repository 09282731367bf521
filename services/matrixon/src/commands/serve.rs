//! `matrixon serve [ROLE,…]`

use std::path::Path;

use anyhow::{Context as _, Result};
use matrixon_runtime::{config::ShutdownConfig, role::Role, telemetry};

use crate::{compose, config::load_from, settings::Settings};

pub(crate) fn run(path: Option<&Path>, roles: &[Role]) -> Result<()> {
    let (config, source) = load_from(path)?;
    let mut settings = Settings::prepare(config, roles)?;
    let shutdown = &mut settings.config.shutdown;
    if settings.embedded && source.file().is_none() && *shutdown == ShutdownConfig::default() {
        // Nobody balances load over a process that was started without a configuration: Ctrl-C may end it at once.
        shutdown.drain_delay_seconds = 0;
    }
    raise_file_limit();
    let runtime = build_runtime(settings.config.server.worker_threads)?;
    let served = runtime.block_on(async {
        let guard = telemetry::init(&settings.config.telemetry, &settings.service_name())?;
        Box::pin(compose::serve(settings, path.map(Path::to_owned), guard.level())).await
    });
    // What a background task still does must not hold the end up.
    runtime.shutdown_background();
    served
}

/// 0 threads: tokio's own choice, one a core.
fn build_runtime(worker_threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if worker_threads > 0 {
        builder.worker_threads(worker_threads);
    }
    builder.enable_all().build().context("cannot start threads")
}

/// Every connection is a file; the usual soft limit of 1,024 is for programs that use select(2).
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("matrixon: the limit of open files stays at {:?}: {error}", limit.current);
    }
}
