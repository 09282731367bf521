//! What the servers of one run did, side by side.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measure::Report;

#[derive(Serialize)]
pub(crate) struct ServerReports {
    pub(crate) server: String,
    pub(crate) reports: Vec<Report>,
}

/// Throughput for what is driven as fast as it goes; for delivery at a fixed rate the latency says more.
pub(crate) fn ratio(of: &Report, to: &Report) -> f64 {
    if of.scenario.starts_with("delivery") || of.scenario.starts_with("send beside") {
        to.latency_ms.p95 / of.latency_ms.p95
    } else {
        of.per_second / to.per_second
    }
}

pub(crate) fn table(all: &[ServerReports]) -> String {
    let mut out = String::from(
        "| scenario | server | per second | p50 ms | p95 ms | CPU ms each | MiB | bytes each | failed | × first |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let Some(first) = all.first() else { return out };
    for (index, base) in first.reports.iter().enumerate() {
        for server in all {
            let Some(report) = server.reports.get(index) else { continue };
            writeln!(
                out,
                "| {} | {} | {:.1} | {:.2} | {:.2} | {} | {} | {} | {} | {:.1} |",
                report.scenario,
                server.server,
                report.per_second,
                report.latency_ms.p50,
                report.latency_ms.p95,
                optional(report.cpu_ms_per_operation),
                optional(report.resident_mib),
                optional(report.bytes_per_operation),
                report.failures,
                ratio(report, base),
            )
            .expect("writing to a string");
        }
    }
    out
}
