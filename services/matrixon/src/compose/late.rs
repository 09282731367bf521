//! A role's client that can be handed out before the role is built: roles need each other's clients to be built at all.

use std::sync::{Arc, OnceLock};

use axum::Router;
use matrixon_rpc::{Rpc, RpcError, local};
use matrixon_runtime::role::Role;
use tower::{ServiceExt as _, util::BoxCloneSyncService};

/// Filled once the role is built, before the first port answers.
#[derive(Clone)]
pub(crate) struct Late {
    role: Role,
    rpc: Arc<OnceLock<Rpc>>,
}

impl Late {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, rpc: Arc::default() }
    }

    pub(crate) fn set(&self, router: Router) {
        // Each role is built once.
        let _first = self.rpc.set(local(router));
    }

    pub(crate) fn client(&self) -> Rpc {
        let late = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request| {
            let (role, rpc) = (late.role, late.rpc.get().cloned());
            async move {
                match rpc {
                    Some(rpc) => rpc.oneshot(request).await,
                    None => Err(RpcError::Unavailable { role, reason: "this process is still starting".to_owned() }),
                }
            }
        }))
    }
}
