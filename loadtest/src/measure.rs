//! Latencies, and what the server's processes used meanwhile (from /proc).

use std::{
    collections::HashMap,
    fs,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde::Serialize;

/// Milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    /// Finished operations in the measured time.
    pub(crate) operations: u64,
    pub(crate) failures: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) latency_ms: Latency,
    /// CPU of all counted processes an operation; absent when no process was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_ms_per_operation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resident_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_operation: Option<f64>,
    /// What the scenario checked besides, such as exactly-once delivery.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub(crate) checks: HashMap<String, u64>,
}

/// Collects while a scenario runs.
#[derive(Default)]
pub(crate) struct Samples {
    micros: Vec<u32>,
    pub(crate) failures: u64,
    pub(crate) bytes: u64,
}

impl Samples {
    pub(crate) fn add(&mut self, elapsed: Duration) {
        self.micros.push(elapsed.as_micros().min(u128::from(u32::MAX)) as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.micros.len()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.failures += other.failures;
        self.bytes += other.bytes;
    }

    fn latency(&mut self) -> Latency {
        self.micros.sort_unstable();
        let at = |share: f64| {
            let index = ((self.micros.len() as f64 * share).ceil() as usize).clamp(1, self.micros.len().max(1)) - 1;
            self.micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        Latency { p50: at(0.50), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

/// From the first measured operation to the last.
pub(crate) struct Stopwatch<'a> {
    pids: &'a [u32],
    cpu: Duration,
    started: Instant,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn start(pids: &'a [u32]) -> Self {
        Self { pids, cpu: usage(pids).cpu, started: Instant::now() }
    }

    pub(crate) fn finish(self, scenario: &str, mut samples: Samples) -> Report {
        let seconds = self.started.elapsed().as_secs_f64();
        let now = usage(self.pids);
        let operations = samples.len() as u64;
        let counted = !self.pids.is_empty() && operations > 0;
        Report {
            scenario: scenario.to_owned(),
            operations,
            failures: samples.failures,
            seconds,
            per_second: operations as f64 / seconds,
            latency_ms: samples.latency(),
            cpu_ms_per_operation: counted
                .then(|| now.cpu.saturating_sub(self.cpu).as_secs_f64() * 1000.0 / operations as f64),
            resident_mib: counted.then_some(now.resident as f64 / f64::from(1 << 20)),
            bytes_per_operation: (samples.bytes > 0 && operations > 0)
                .then(|| samples.bytes as f64 / operations as f64),
            checks: HashMap::new(),
        }
    }
}

pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Proportional set size, so that memory which PostgreSQL's processes share counts once.
    pub(crate) resident: u64,
}

/// CPU and memory of processes and all their descendants, the dead ones included as far as their parents waited for them.
pub(crate) fn usage(pids: &[u32]) -> Usage {
    let mut family: Vec<u32> = pids.to_vec();
    let mut index = 0;
    while let Some(pid) = family.get(index).copied() {
        for child in children(pid) {
            if !family.contains(&child) {
                family.push(child);
            }
        }
        index += 1;
    }
    let ticks: u64 = family.iter().filter_map(|pid| cpu_ticks(*pid)).sum();
    let resident = family.iter().filter_map(|pid| proportional_bytes(*pid)).sum();
    // USER_HZ is 100 on every Linux that Rust runs on
    Usage { cpu: Duration::from_millis(ticks * 10), resident }
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<_>>()).collect()
}

/// utime, stime, and of reaped children cutime, cstime.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.rsplit_once(')')?.1;
    Some(after_name.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
}

fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A progress bar on the terminal, nothing elsewhere.
pub(crate) fn progress(label: &str, done: f64) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let filled = (done.clamp(0.0, 1.0) * 30.0) as usize;
    let end = if done >= 1.0 { "\n" } else { "" };
    // a terminal that went away is no reason to stop measuring
    let _gone =
        write!(err, "\r{label:<28} [{}{}] {:>3.0} %{end}", "#".repeat(filled), "-".repeat(30 - filled), done * 100.0);
}
