//! Accounts, tokens, profiles.

use anyhow::Result;
use matrixon_auth::{Deps, build as build_auth};

use super::{Base, Built};

pub(crate) async fn build(base: &Base) -> Result<Built> {
    let config = &base.settings.config;
    let deps = Deps {
        db: base.db()?,
        cache: base.cache.clone(),
        bus: base.bus.clone(),
        clock: base.clock.clone(),
        server_name: base.server_name.clone(),
        signing_key: Some(base.signing_key()?),
        egress: config.egress.clone(),
        client_base_url: config.server.client_base_url.clone(),
        verifier: base.verifier.clone(),
        shutdown: base.shutdown.clone(),
    };
    let service = build_auth(&config.auth, deps).await?;
    Ok(Built { router: service.router, tasks: vec![service.tasks] })
}
