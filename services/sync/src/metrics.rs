//! Metrics of this service.

use std::sync::LazyLock;

use matrixon_runtime::metrics::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, counter, gauge, latency};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

pub(crate) struct Metrics {
    pub(crate) waiters: IntGauge,
    pub(crate) users_online: IntGauge,
    pub(crate) wake_seconds: Histogram,
    pub(crate) delivery_latency: Histogram,
    pub(crate) deliveries: IntCounter,
    pub(crate) to_device_sent: IntCounter,
    pub(crate) to_device_delivered: IntCounter,
    pub(crate) to_device_dropped: IntCounter,
    /// Answers that could not be built: what they would have brought waits for the next request.
    pub(crate) deliveries_failed: IntCounter,
    pub(crate) stream_position: IntGaugeVec,
    pub(crate) stream_lag: IntGaugeVec,
    pub(crate) bus_gaps: IntCounterVec,
}

impl Metrics {
    fn register() -> Self {
        let none: &[&str] = &[];
        let deliveries = counter("deliveries_total", "Events delivered, and answers that failed.", &["path", "result"]);
        let metrics = Self {
            waiters: gauge("sync_waiters", "/sync requests that wait for news.", none).with_label_values(none),
            users_online: gauge("sync_users_online", "Users whose rooms are in memory.", none).with_label_values(none),
            wake_seconds: latency("sync_wake_seconds", "From the bell to the finished response.", none)
                .with_label_values(none),
            delivery_latency: latency("delivery_latency_seconds", "From the event's time to its delivery.", &["path"])
                .with_label_values(&["sync"]),
            deliveries: deliveries.with_label_values(&["sync", "ok"]),
            deliveries_failed: deliveries.with_label_values(&["sync", "failed"]),
            to_device_sent: counter("to_device_sent_total", "Messages put into inboxes of devices.", none)
                .with_label_values(none),
            to_device_delivered: counter("to_device_delivered_total", "To-device messages in responses.", none)
                .with_label_values(none),
            to_device_dropped: counter("to_device_dropped_total", "Oldest messages of inboxes that were full.", none)
                .with_label_values(none),
            stream_position: gauge("stream_position", "Position that this process has reached.", &["stream"]),
            stream_lag: gauge(
                "stream_lag",
                "Positions known to be committed and not reached.",
                &["stream", "consumer"],
            ),
            bus_gaps: counter("bus_gaps_total", "Gaps in the bus, read from SQL.", &["stream"]),
        };
        for stream in ["events", "receipts", "account_data", "to_device", "device_lists", "key_counts"] {
            metrics.bus_gaps.with_label_values(&[stream]).inc_by(0);
        }
        metrics
    }
}

/// Counts one waiting request until dropped.
pub(crate) struct Waiting;

impl Waiting {
    pub(crate) fn begin() -> Self {
        METRICS.waiters.inc();
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        METRICS.waiters.dec();
    }
}
