//! Metrics of the room service.

use std::sync::LazyLock;

use matrixon_runtime::metrics::{self, Histogram, IntCounterVec};

pub(crate) static EVENTS_ACCEPTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter("events_accepted_total", "Events accepted into rooms, by where they came from.", &["origin"])
});

pub(crate) static EVENT_PERSIST: LazyLock<Histogram> = LazyLock::new(|| {
    metrics::latency("event_persist_duration_seconds", "Writing one batch of events, without its COMMIT.", &["origin"])
        .with_label_values(&["local"])
});

static STATE_RESOLUTION: LazyLock<Histogram> = LazyLock::new(|| {
    metrics::latency("state_resolution_duration_seconds", "Resolving the state of a fork of a room.", &[])
        .with_label_values::<&str>(&[])
});

/// What matters on its first increase, or is asked for by dashboards, exists from the start.
pub(crate) fn init() {
    for origin in ["local", "federation"] {
        EVENTS_ACCEPTED.with_label_values(&[origin]);
    }
    APPEND_CONFLICTS.with_label_values(&["room"]);
    LazyLock::force(&EVENT_PERSIST);
    LazyLock::force(&STATE_RESOLUTION);
}

pub(crate) static APPEND_CONFLICTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter(
        "room_append_conflicts_total",
        "Appends computed again because the room had moved on.",
        &["service"],
    )
});

pub(crate) static PROPAGATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter(
        "profile_propagations_total",
        "Memberships looked at because of a new profile, by result.",
        &["result"],
    )
});
