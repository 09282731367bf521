//! Metrics of the bus; they exist at 0 from the start.

use std::sync::LazyLock;

use matrixon_runtime::metrics::{IntCounter, IntGauge, counter, gauge};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::register);

pub(crate) struct Metrics {
    pub(crate) published: IntCounter,
    pub(crate) received: IntCounter,
    pub(crate) resets: IntCounter,
    pub(crate) connected: IntGauge,
    /// Published while the server was away.
    pub(crate) dropped_disconnected: IntCounter,
    /// Published faster than the network takes.
    pub(crate) dropped_send_buffer: IntCounter,
    /// Refused by the client: too large, or not a subject.
    pub(crate) dropped_refused: IntCounter,
    /// Received faster than the subscriber takes.
    pub(crate) dropped_slow_consumer: IntCounter,
}

impl Metrics {
    fn register() -> Self {
        let dropped = counter("bus_dropped_total", "Messages the bus dropped.", &["reason"]);
        let plain = |name, help| counter(name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            published: plain("bus_published_total", "Messages handed to the bus."),
            received: plain("bus_received_total", "Messages delivered to subscriptions."),
            resets: plain("bus_resets_total", "Times a subscriber was told that it may have missed something."),
            connected: gauge("bus_connected", "1 while the bus is connected.", &[]).with_label_values::<&str>(&[]),
            dropped_disconnected: dropped.with_label_values(&["disconnected"]),
            dropped_send_buffer: dropped.with_label_values(&["send_buffer"]),
            dropped_refused: dropped.with_label_values(&["refused"]),
            dropped_slow_consumer: dropped.with_label_values(&["slow_consumer"]),
        }
    }
}
