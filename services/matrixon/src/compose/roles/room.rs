//! The room DAG.

use anyhow::Result;
use matrixon_room::{Deps, build as build_room};

use super::{Base, Built};

pub(crate) async fn build(base: &Base) -> Result<Built> {
    let deps = Deps {
        db: base.db()?,
        bus: base.bus.clone(),
        peers: base.peers.clone(),
        verifier: base.verifier.clone(),
        clock: base.clock.clone(),
        server_name: base.server_name.clone(),
        signing_key: base.signing_key()?,
        shutdown: base.shutdown.clone(),
    };
    let service = build_room(&base.settings.config.room, deps).await?;
    Ok(Built { router: service.router, tasks: vec![service.tasks] })
}
