//! One file per role: what it is built from.

mod auth;
mod federation;
mod gateway;
mod media;
mod room;
mod sync;

use anyhow::{Context as _, Result};
use axum::Router;
use matrixon_runtime::role::Role;
use tokio::task::JoinHandle;

pub(crate) use self::gateway::Front;
use super::base::Base;

/// A built role.
pub(crate) struct Built {
    /// Its part of the cluster port: HTTP slice and gRPC.
    pub(crate) router: Router,
    /// Ends some time after the process has stopped; awaited last.
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

/// All roles of a process.
pub(crate) struct Roles {
    pub(crate) routers: Vec<Router>,
    pub(crate) tasks: Vec<JoinHandle<()>>,
    pub(crate) front: Option<Front>,
}

/// Builds the roles of the process, callees first.
pub(crate) async fn build(base: &Base) -> Result<Roles> {
    let mut roles = Roles { routers: Vec::new(), tasks: Vec::new(), front: None };
    for role in [Role::Auth, Role::Federation, Role::Room, Role::Sync, Role::Media] {
        let Some(late) = base.local(role) else { continue };
        let built = match role {
            Role::Auth => auth::build(base).await,
            Role::Room => room::build(base).await,
            Role::Sync => sync::build(base),
            Role::Media => Ok(media::build(base)),
            Role::Federation => Ok(federation::build(base)),
            Role::Gateway => continue,
        };
        let Built { router, tasks } = built.with_context(|| format!("the {role} role cannot start"))?;
        late.set(router.clone());
        roles.routers.push(router);
        roles.tasks.extend(tasks);
    }
    if base.local(Role::Gateway).is_some() {
        roles.front = Some(gateway::build(base).await.context("the gateway role cannot start")?);
    }
    Ok(roles)
}
