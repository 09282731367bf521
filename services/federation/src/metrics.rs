//! Metrics of the federation role: names and labels, at 0 until there is traffic, so that rules and dashboards have series.

use matrixon_runtime::metrics::{counter, gauge, latency};

const LABELS: &[&str] = &["direction", "endpoint", "code"];
const STATES: [&str; 3] = ["reachable", "backing_off", "dead"];

pub(crate) fn init() {
    let requests = counter("federation_requests_total", "Requests from and to other servers.", LABELS);
    let durations = latency("federation_duration_seconds", "Our share of the time of federation requests.", LABELS);
    for direction in ["in", "out"] {
        let labels = [direction, "send_transaction", "200"];
        requests.with_label_values(&labels);
        durations.with_label_values(&labels);
    }
    let destinations = gauge("federation_destinations", "Servers that share a room with us, by state.", &["state"]);
    for state in STATES {
        destinations.with_label_values(&[state]);
    }
}
