//! CPU time: a signal at every 99th of a second of it, whichever thread uses it.

use std::time::Duration;

use pprof::ProfilerGuardBuilder;
use tokio::time::sleep;

use super::{ProfileError, Stack};

/// Not 100: what happens a hundred times a second would be seen always or never.
const FREQUENCY: i32 = 99;
/// The function by which the kernel interrupts a thread for a sample.
pub(super) const HANDLER: &str = "perf_signal_handler";

pub(super) async fn record(time: Duration) -> Result<Vec<Stack>, ProfileError> {
    let failed = |error: pprof::Error| ProfileError::Failed(error.to_string());
    let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).build().map_err(failed)?;
    sleep(time).await;
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
