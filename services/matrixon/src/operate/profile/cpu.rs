//! CPU time: a signal at every 99th of a second of it, whichever thread uses it.

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use pprof::ProfilerGuardBuilder;
use tokio::{sync::OwnedMutexGuard, task::spawn_blocking};

use super::{ProfileError, Stack};

/// Not 100: what happens a hundred times a second would be seen always or never.
const FREQUENCY: i32 = 99;
/// The function by which the kernel interrupts a thread for a sample.
pub(super) const HANDLER: &str = "perf_signal_handler";

/// `turn` ends with the recording, which may be a moment after this future is dropped.
pub(super) async fn record(time: Duration, turn: OwnedMutexGuard<()>) -> Result<Vec<Stack>, ProfileError> {
    // gone with this future, it ends the recording
    let (_recording, given_up) = mpsc::sync_channel::<()>(0);
    // on a thread of its own: tables of 70 MB are filled at its beginning and its end
    let recorded = spawn_blocking(move || {
        let _turn = turn;
        record_here(time, &given_up)
    })
    .await;
    recorded.map_err(|error| ProfileError::Failed(error.to_string()))?
}

fn record_here(time: Duration, given_up: &Receiver<()>) -> Result<Vec<Stack>, ProfileError> {
    let failed = |error: pprof::Error| ProfileError::Failed(error.to_string());
    // where samples go when there are many of them; without it the profiler would never work again
    tempfile::tempfile().map_err(|error| ProfileError::Failed(format!("no temporary files can be made: {error}")))?;
    // the vdso is the host's, and some cannot be unwound
    let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&["vdso"]).build().map_err(failed)?;
    if given_up.recv_timeout(time) != Err(RecvTimeoutError::Timeout) {
        return Ok(Vec::new());
    }
    let report = guard.report().build_unresolved().map_err(failed)?;
    drop(guard);
    let stacks = report.data.iter().map(|(frames, count)| {
        let name = &frames.thread_name[..frames.thread_name_length.min(frames.thread_name.len())];
        Stack {
            thread: String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
            addresses: frames.frames.iter().map(|frame| frame.ip() as usize).collect(),
            weight: u64::try_from(*count).unwrap_or(0),
        }
    });
    Ok(stacks.collect())
}
