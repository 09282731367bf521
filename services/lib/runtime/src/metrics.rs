//! Prometheus metrics on one registry. The `prometheus` crate is seen only here.
//! Registering a name twice gives the same metric, so that several services of one process may share it.

pub mod http;
pub mod process;

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use parking_lot::Mutex;
pub use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use prometheus::{HistogramOpts, Opts, Registry, TextEncoder, core::Collector};

/// Seconds; the service objectives (25, 50, 100 ms, …) lie on bucket edges, so that a quantile needs no interpolation.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0];

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

#[derive(Default)]
struct Metrics {
    registry: Registry,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
enum Known {
    Counter(IntCounterVec),
    Gauge(IntGaugeVec),
    Histogram(HistogramVec),
}

/// A counter; keep the children (`with_label_values`) of hot paths instead of looking them up.
pub fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let name = prefixed(name);
    let known = METRICS.get_or_register(&name, || {
        let metric = IntCounterVec::new(Opts::new(name.clone(), help), labels).expect("the name and labels are valid");
        (Known::Counter(metric.clone()), Box::new(metric))
    });
    match known {
        Known::Counter(metric) => metric,
        Known::Gauge(_) | Known::Histogram(_) => unreachable!("`{name}` is registered as another kind of metric"),
    }
}

/// A gauge.
pub fn gauge(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let name = prefixed(name);
    let known = METRICS.get_or_register(&name, || {
        let metric = IntGaugeVec::new(Opts::new(name.clone(), help), labels).expect("the name and labels are valid");
        (Known::Gauge(metric.clone()), Box::new(metric))
    });
    match known {
        Known::Gauge(metric) => metric,
        Known::Counter(_) | Known::Histogram(_) => unreachable!("`{name}` is registered as another kind of metric"),
    }
}

/// A histogram of seconds with [`LATENCY_BUCKETS`].
pub fn latency(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    histogram(name, help, labels, LATENCY_BUCKETS)
}

/// A histogram with buckets of its own.
pub fn histogram(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let name = prefixed(name);
    let known = METRICS.get_or_register(&name, || {
        let options = HistogramOpts::new(name.clone(), help).buckets(buckets.to_vec());
        let metric = HistogramVec::new(options, labels).expect("the name, labels and buckets are valid");
        (Known::Histogram(metric.clone()), Box::new(metric))
    });
    match known {
        Known::Histogram(metric) => metric,
        Known::Counter(_) | Known::Gauge(_) => unreachable!("`{name}` is registered as another kind of metric"),
    }
}

/// Everything in the text format of Prometheus.
pub fn gather() -> String {
    static PROCESS: OnceLock<()> = OnceLock::new();
    PROCESS.get_or_init(|| register(Box::new(process::ProcessCollector::default())));
    TextEncoder::new().encode_to_string(&METRICS.registry.gather()).unwrap_or_default()
}

/// A gauge's labels and value.
pub type Reading = (Vec<(String, String)>, i64);

/// What a gauge says now, for each of its labels; nothing when nobody has made it yet.
pub fn read_gauges(name: &str) -> Vec<Reading> {
    let Some(Known::Gauge(gauge)) = METRICS.known.lock().get(&prefixed(name)).cloned() else { return Vec::new() };
    let families = gauge.collect();
    let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    let read = metrics.map(|metric| {
        let labels = metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().to_owned()));
        (labels.collect(), metric.get_gauge().get_value() as i64)
    });
    read.collect()
}

/// Publishes which version of which service this is.
pub fn set_build_info(service: &str, version: &str) {
    gauge("build_info", "Always 1; the labels say what runs.", &["service", "version"])
        .with_label_values(&[service, version])
        .set(1);
}

impl Metrics {
    fn get_or_register(&self, name: &str, build: impl FnOnce() -> (Known, Box<dyn Collector>)) -> Known {
        let mut known = self.known.lock();
        if let Some(metric) = known.get(name) {
            return metric.clone();
        }
        let (metric, collector) = build();
        register(collector);
        known.insert(name.to_owned(), metric.clone());
        metric
    }
}

fn register(collector: Box<dyn Collector>) {
    METRICS.registry.register(collector).expect("a metric is registered once");
}

fn prefixed(name: &str) -> String {
    if name.starts_with("matrixon_") || name.starts_with("process_") {
        name.to_owned()
    } else {
        format!("matrixon_{name}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_name_is_the_same_metric_and_gets_the_prefix() {
        super::counter("tests_total", "Tests.", &["result"]).with_label_values(&["ok"]).inc();
        super::counter("tests_total", "Tests.", &["result"]).with_label_values(&["ok"]).inc();
        super::latency("test_seconds", "Tests.", &[]).with_label_values::<&str>(&[]).observe(0.02);
        super::set_build_info("test", "1");
        super::gauge("test_level", "Tests.", &["stream"]).with_label_values(&["a"]).set(7);
        assert_eq!(super::read_gauges("test_level"), [(vec![("stream".to_owned(), "a".to_owned())], 7)]);
        assert_eq!(super::read_gauges("tests_total"), []);
        let text = super::gather();
        assert!(text.contains("matrixon_tests_total{result=\"ok\"} 2"), "{text}");
        assert!(text.contains("matrixon_test_seconds_bucket{le=\"0.02\"} 1"), "{text}");
        assert!(text.contains("matrixon_build_info{service=\"test\",version=\"1\"} 1"), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }
}
