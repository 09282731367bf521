//! Metrics of calls; never a label per replica.

use std::{sync::LazyLock, time::Duration};

use matrixon_runtime::{
    metrics::{self, HistogramVec, IntCounterVec},
    role::Role,
};

use crate::replica::Kind;

static GRPC_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter(
        "grpc_client_requests_total",
        "gRPC calls by target role, method and code.",
        &["target", "method", "code"],
    )
});
static GRPC_DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::latency(
        "grpc_client_duration_seconds",
        "Time of gRPC calls with all their attempts.",
        &["target", "method", "code"],
    )
});
static ATTEMPTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter(
        "rpc_failed_attempts_total",
        "Attempts that failed, by what became of the call.",
        &["target", "reason", "result"],
    )
});

pub(crate) fn grpc_call(target: Role, method: &str, code: tonic::Code, took: Duration) {
    let labels = [target.as_str(), method, code_name(code)];
    GRPC_REQUESTS.with_label_values(&labels).inc();
    GRPC_DURATION.with_label_values(&labels).observe(took.as_secs_f64());
}

/// The first failed attempt at a role matters, so its counters exist from the start.
pub(crate) fn init(target: Role) {
    for kind in Kind::ALL {
        for result in ["retried", "given_up"] {
            ATTEMPTS.with_label_values(&[target.as_str(), kind.as_str(), result]);
        }
    }
}

pub(crate) fn failed_attempt(target: Role, reason: &str, retried: bool) {
    let result = if retried { "retried" } else { "given_up" };
    ATTEMPTS.with_label_values(&[target.as_str(), reason, result]).inc();
}

fn code_name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "OK",
        tonic::Code::Cancelled => "CANCELLED",
        tonic::Code::Unknown => "UNKNOWN",
        tonic::Code::InvalidArgument => "INVALID_ARGUMENT",
        tonic::Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        tonic::Code::NotFound => "NOT_FOUND",
        tonic::Code::AlreadyExists => "ALREADY_EXISTS",
        tonic::Code::PermissionDenied => "PERMISSION_DENIED",
        tonic::Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        tonic::Code::FailedPrecondition => "FAILED_PRECONDITION",
        tonic::Code::Aborted => "ABORTED",
        tonic::Code::OutOfRange => "OUT_OF_RANGE",
        tonic::Code::Unimplemented => "UNIMPLEMENTED",
        tonic::Code::Internal => "INTERNAL",
        tonic::Code::Unavailable => "UNAVAILABLE",
        tonic::Code::DataLoss => "DATA_LOSS",
        tonic::Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
