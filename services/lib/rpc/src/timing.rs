//! How long things take.

use std::time::Duration;

/// Other than the default only in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) connect: Duration,
    pub(crate) probe_interval: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) backoff_first: Duration,
    pub(crate) backoff_most: Duration,
    pub(crate) resolve: Duration,
    /// How long a call waits for a replica when all are out.
    pub(crate) patience: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            probe_interval: Duration::from_millis(500),
            probe_timeout: Duration::from_secs(1),
            backoff_first: Duration::from_millis(50),
            backoff_most: Duration::from_secs(1),
            resolve: Duration::from_secs(5),
            patience: Duration::from_secs(5),
        }
    }
}
