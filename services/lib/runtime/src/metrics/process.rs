//! `process_*` by the conventional names, read from /proc when asked.

use std::fs;

use prometheus::{
    Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Linux reports CPU time in these ticks on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;

pub struct ProcessCollector {
    gauges: [Gauge; 7],
}

impl Default for ProcessCollector {
    fn default() -> Self {
        let gauge = |name, help| Gauge::with_opts(Opts::new(name, help)).expect("the name is valid");
        Self {
            gauges: [
                gauge("process_cpu_seconds_total", "CPU time of the process, user and system, in seconds."),
                gauge("process_resident_memory_bytes", "Resident memory in bytes."),
                gauge("process_virtual_memory_bytes", "Virtual memory in bytes."),
                gauge("process_open_fds", "Open file descriptors."),
                gauge("process_max_fds", "How many file descriptors may be open."),
                gauge("process_threads", "Threads."),
                gauge("process_start_time_seconds", "When the process started, in seconds since 1970."),
            ],
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let [cpu, resident, virtual_memory, fds, max_fds, threads, start] = &self.gauges;
        if let Some(stat) = Stat::read() {
            cpu.set(stat.cpu_seconds);
            threads.set(stat.threads);
            virtual_memory.set(stat.virtual_bytes);
            start.set(boot_time_seconds().unwrap_or(0.0) + stat.start_seconds_after_boot);
        }
        resident.set(resident_bytes().unwrap_or(0.0));
        fds.set(fs::read_dir("/proc/self/fd").map_or(0.0, |entries| entries.count() as f64));
        max_fds.set(file_limit().unwrap_or(0.0));
        self.gauges.iter().flat_map(Collector::collect).collect()
    }
}

struct Stat {
    cpu_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
    start_seconds_after_boot: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the command in parentheses and may itself hold spaces; the third is the state.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<f64> = rest.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0.0)).collect();
        // proc(5) counts from 1; `fields[0]` is field 4.
        let field = |number: usize| fields.get(number - 4).copied();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            threads: field(20)?,
            start_seconds_after_boot: field(22)? / TICKS_PER_SECOND,
            virtual_bytes: field(23)?,
        })
    }
}

fn boot_time_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit of open files; none when it is unlimited.
fn file_limit() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Resident memory of this process.
pub fn resident_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn proc_is_understood() {
        let stat = super::Stat::read().unwrap();
        assert!(stat.threads >= 1.0 && stat.virtual_bytes > 1e6);
        assert!(super::resident_bytes().unwrap() > 1e5);
        assert!(super::boot_time_seconds().unwrap() > 1e9);
        assert!(super::file_limit().is_none_or(|limit| limit >= 64.0));
    }
}
