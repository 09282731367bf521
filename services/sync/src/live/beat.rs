//! The slow pulse beside the bus: heads from SQL, and users who went away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use matrixon_bus::Bus;
use matrixon_runtime::shutdown::Shutdown;

use super::Live;
use crate::{config::Config, metrics::METRICS};

/// Users without requests are looked for this often.
const SWEEP: Duration = Duration::from_secs(20);

/// Asks SQL for what the bus may have lost, more often while the bus is away, and forgets users who went away.
pub(crate) async fn run(live: Arc<Live>, bus: Bus, config: Config, shutdown: Shutdown) {
    let mut swept = Instant::now();
    loop {
        let pause = if bus.is_connected() { config.heartbeat_ms } else { config.heartbeat_without_bus_ms };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause.max(10))) => {}
            () = shutdown.wait_stopped() => return,
        }
        match live.refresher.heads(&live.db).await {
            Ok(heads) => live.want(heads),
            Err(error) => tracing::debug!(%error, "the streams cannot be read"),
        }
        if swept.elapsed() > SWEEP {
            swept = Instant::now();
            let since_ms = live.clock.now_ms() - config.idle_user_seconds as i64 * 1_000;
            let online = live.change(|memory, _| {
                memory.online.drop_idle(since_ms);
                memory.devices.drop_idle(since_ms);
                memory.online.len()
            });
            METRICS.users_online.set(online as i64);
        }
    }
}
