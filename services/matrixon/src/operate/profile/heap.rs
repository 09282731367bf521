//! What is allocated and kept: jemalloc notes the stack of every 64 KiB or so that are allocated, and forgets it when they are
//! freed. It is built ready for that and does nothing until asked (`.cargo/config.toml`). What SQLite allocates is not in it.

use std::time::Duration;

use jemalloc_pprof::{JemallocProfCtl, PROF_CTL};
use tokio::{sync::MutexGuard, time::sleep};

use super::{ProfileError, Stack};

/// Ends the noting, whatever else happens.
struct Noting<'a>(MutexGuard<'a, JemallocProfCtl>);

impl Drop for Noting<'_> {
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
    let mut noting = Noting(control.lock().await);
    noting.0.activate().map_err(|error| ProfileError::Failed(error.to_string()))?;
    sleep(time).await;
    let profile = noting.0.dump_profile().map_err(|error| ProfileError::Failed(error.to_string()))?;
    drop(noting);
    let stacks = profile.stacks.into_iter().map(|(stack, _)| Stack {
        thread: "all".to_owned(),
        addresses: stack.addrs.into_iter().rev().collect(),
        weight: stack.weight as u64,
    });
    Ok(stacks.collect())
}
