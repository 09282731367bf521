//! Everything per user.

use anyhow::Result;
use matrixon_sync::{Deps, build as build_sync};

use super::{Base, Built};

pub(crate) fn build(base: &Base) -> Result<Built> {
    let deps = Deps {
        db: base.db()?,
        cache: base.cache.clone(),
        bus: base.bus.clone(),
        clock: base.clock.clone(),
        verifier: base.verifier.clone(),
        shutdown: base.shutdown.clone(),
    };
    let service = build_sync(&base.settings.config.sync, deps);
    let caught_up = service.caught_up();
    base.health.check("streams", move || if caught_up() { Ok(()) } else { Err("catching up".to_owned()) });
    let mut tasks = service.tasks;
    let ended = tokio::spawn(async move { while tasks.join_next().await.is_some() {} });
    Ok(Built { router: service.router, tasks: vec![ended] })
}
