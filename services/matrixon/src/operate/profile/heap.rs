//! What is allocated and kept: jemalloc notes the stack of every 64 KiB or so that are allocated, and forgets it when they are
//! freed. It is built ready for that and does nothing until asked (`.cargo/config.toml`). What SQLite allocates is not in it.

use std::{sync::Arc, time::Duration};

use jemalloc_pprof::{JemallocProfCtl, PROF_CTL};
use tokio::{sync::OwnedMutexGuard, task::spawn_blocking, time::sleep};

use super::{ProfileError, Stack};

/// Ends the noting, whatever else happens.
struct Noting(OwnedMutexGuard<JemallocProfCtl>);

impl Drop for Noting {
    fn drop(&mut self) {
        if let Err(error) = self.0.deactivate() {
            tracing::error!(%error, "cannot end a heap profile");
        }
    }
}

pub(super) async fn record(time: Duration) -> Result<Vec<Stack>, ProfileError> {
    let control = PROF_CTL.as_ref().ok_or_else(|| {
        ProfileError::Failed("this binary's allocator was built without `prof:true` (.cargo/config.toml)".to_owned())
    })?;
    let mut noting = Noting(Arc::clone(control).lock_owned().await);
    noting.0.activate().map_err(|error| ProfileError::Failed(error.to_string()))?;
    sleep(time).await;
    let dumped = spawn_blocking(move || noting.0.dump_profile()).await;
    let profile = dumped
        .map_err(|error| ProfileError::Failed(error.to_string()))?
        .map_err(|error| ProfileError::Failed(error.to_string()))?;
    let stacks = profile.stacks.into_iter().map(|(stack, _)| Stack {
        thread: "all".to_owned(),
        addresses: stack.addrs.into_iter().rev().collect(),
        weight: stack.weight as u64,
    });
    Ok(stacks.collect())
}
