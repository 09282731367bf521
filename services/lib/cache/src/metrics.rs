//! Metrics of the cache; they exist at 0 from the start.

use std::sync::LazyLock;

use matrixon_runtime::metrics::{IntCounter, IntGauge, counter, gauge};

use crate::CacheError;

pub(crate) static LOCAL: LazyLock<Requests> = LazyLock::new(|| Requests::register("local"));
pub(crate) static REDIS: LazyLock<Requests> = LazyLock::new(|| Requests::register("redis"));
pub(crate) static CONNECTED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge("cache_connected", "1 while the shared cache is connected.", &[]).with_label_values::<&str>(&[])
});

pub(crate) struct Requests {
    ok: IntCounter,
    unavailable: IntCounter,
    error: IntCounter,
}

impl Requests {
    fn register(cache: &str) -> Self {
        let requests = counter("cache_requests_total", "Requests to a cache by their result.", &["cache", "result"]);
        let of = |result| requests.with_label_values(&[cache, result]);
        Self { ok: of("ok"), unavailable: of("unavailable"), error: of("error") }
    }

    pub(crate) fn count<T>(&self, result: Result<T, CacheError>) -> Result<T, CacheError> {
        match &result {
            Ok(_) => self.ok.inc(),
            Err(CacheError::Unavailable) => self.unavailable.inc(),
            Err(_) => self.error.inc(),
        }
        result
    }
}
