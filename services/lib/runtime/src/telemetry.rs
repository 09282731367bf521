//! Logs and traces. Logs are written by a thread of their own, so that a slow terminal or disk never delays a request.

mod propagation;
mod writer;

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
pub use propagation::{continues, extract, inject, record_outcome, set_parent, trace_id};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, TelemetryConfig};

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "`telemetry.log_level` is `{level}`, which is not a level or a list like `info,matrixon_room=debug`: {reason}"
    )]
    Level { level: String, reason: String },
    #[error(
        "`telemetry.otlp_endpoint` is `{endpoint}`, which cannot be used; give a URL like `http://collector:4317`: {reason}"
    )]
    Otlp { endpoint: String, reason: String },
    #[error("logging was already started: {0}")]
    Twice(String),
}

/// Keeps logs and traces flowing; dropping it writes out what is left.
pub struct Guard {
    filter: reload::Handle<EnvFilter, Registry>,
    provider: Option<SdkTracerProvider>,
    _writer: writer::WriterGuard,
}

/// Changes the log level while running (SIGHUP).
#[derive(Clone)]
pub struct LevelHandle {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LevelHandle {
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = parse_level(level)?;
        self.filter
            .reload(filter)
            .map_err(|error| TelemetryError::Level { level: level.to_owned(), reason: error.to_string() })
    }
}

impl Guard {
    pub fn level(&self) -> LevelHandle {
        LevelHandle { filter: self.filter.clone() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take() {
            // A collector that is away must not keep the process from ending; there is nobody left to tell.
            let _collector_is_away = provider.shutdown_with_timeout(std::time::Duration::from_secs(2));
        }
    }
}

/// Starts logs, and traces when an endpoint is configured. `service` is the role; call it once, inside the tokio runtime.
pub fn init(config: &TelemetryConfig, service: &str) -> Result<Guard, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parse_level(&config.log_level)?);
    let (make_writer, writer_guard) = writer::start();
    let provider =
        config.otlp_endpoint.as_deref().map(|endpoint| build_provider(endpoint, config, service)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        propagation::enable();
        tracing_opentelemetry::layer().with_tracer(provider.tracer("matrixon"))
    });
    let logs = match config.log_format {
        LogFormat::Json => {
            // all spans of a line, as the outermost of them knows the request and its trace
            let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(true);
            lines.with_writer(make_writer).boxed()
        }
        LogFormat::Pretty => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            fmt::layer().with_ansi(colours).with_target(true).with_writer(make_writer).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(traces)
        .with(logs)
        .try_init()
        .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    Ok(Guard { filter: handle, provider, _writer: writer_guard })
}

/// Libraries that tell at `info` and below what only their own authors want to know, at a price on every request.
/// Whoever names one in `telemetry.log_level` hears it all the same.
const QUIET: [&str; 8] =
    ["async_nats", "h2", "hickory_proto", "hyper", "hyper_util", "ruma_state_res", "sqlx", "tower"];

fn parse_level(level: &str) -> Result<EnvFilter, TelemetryError> {
    let quiet = QUIET.iter().filter(|library| !level.contains(*library)).map(|library| format!("{library}=warn"));
    let directives: Vec<String> = quiet.chain([level.to_owned()]).collect();
    EnvFilter::try_new(directives.join(","))
        .map_err(|error| TelemetryError::Level { level: level.to_owned(), reason: error.to_string() })
}

fn build_provider(
    endpoint: &str,
    config: &TelemetryConfig,
    service: &str,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Otlp { endpoint: endpoint.to_owned(), reason: error.to_string() })?;
    let resource = Resource::builder()
        .with_service_name(format!("matrixon-{service}"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance()))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.otlp_sample_ratio)));
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(sampler).with_resource(resource).build())
}

/// In Kubernetes the name of the pod comes first.
fn instance() -> String {
    format!("{}-{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::parse_level;

    #[test]
    fn noisy_libraries_are_quiet_unless_named() {
        let filter = parse_level("debug,hyper=trace").unwrap().to_string();
        assert!(filter.contains("ruma_state_res=warn") && filter.contains("hyper=trace"), "{filter}");
        assert!(!filter.contains("hyper=warn"), "{filter}");
        assert!(parse_level("loud=very").unwrap_err().to_string().starts_with("`telemetry.log_level` is `loud=very`"));
    }
}
