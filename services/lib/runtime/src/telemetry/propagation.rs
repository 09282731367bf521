//! W3C trace context (`traceparent`) over HTTP headers. Without an OTLP endpoint all of it is one atomic load.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

static ENABLED: AtomicBool = AtomicBool::new(false);

pub(super) fn enable() {
    ENABLED.store(true, Ordering::Release);
}

/// Writes the current span's context into the headers of a call to another process.
pub fn inject(headers: &mut HeaderMap) {
    if ENABLED.load(Ordering::Acquire) {
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Headers(headers));
    }
}

/// The caller's context, if the headers carry one.
pub fn extract(headers: &HeaderMap) -> Context {
    if ENABLED.load(Ordering::Acquire) {
        TraceContextPropagator::new().extract(&ReadHeaders(headers))
    } else {
        Context::new()
    }
}

/// Whether these are the headers of a call that belongs to a trace.
pub fn continues(headers: &HeaderMap) -> bool {
    ENABLED.load(Ordering::Acquire) && headers.contains_key("traceparent")
}

/// Makes `span` a child of the caller's span, and notes the trace in its field `trace_id` so that log lines name it.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    if ENABLED.load(Ordering::Acquire) {
        // Only fails for a span that was already entered or is disabled: then there is nothing to attach.
        let _disabled = span.set_parent(extract(headers));
        span.record("trace_id", trace_id(span));
    }
}

/// Notes the status of the answer in the fields `http.response.status_code` and `otel.status_code` of `span`.
pub fn record_outcome(span: &Span, status: StatusCode) {
    if ENABLED.load(Ordering::Acquire) {
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// The trace that `span` belongs to, for log lines; none without an OTLP endpoint.
pub fn trace_id(span: &Span) -> Option<String> {
    if !ENABLED.load(Ordering::Acquire) {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct ReadHeaders<'a>(&'a HeaderMap);

impl Extractor for ReadHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
