//! Errors across gRPC: `ErrorDetail` in the status' binary details, so that a remote error equals a local one.

use http::StatusCode;
use matrixon_proto::error::v1::ErrorDetail;
use prost::Message;
use serde_json::{Map, Value};
use tonic::{Code, Status};

use super::MatrixError;

impl From<MatrixError> for Status {
    fn from(error: MatrixError) -> Self {
        let extra = (!error.extra.is_empty()).then(|| Value::Object(error.extra).to_string().into_bytes());
        let detail = ErrorDetail {
            errcode: error.errcode,
            message: error.message.clone(),
            retry_after_ms: error.retry_after_ms.unwrap_or(0),
            http_status: u32::from(error.status.as_u16()),
            extra_json: extra.unwrap_or_default().into(),
        };
        Self::with_details(code_of(error.status), error.message, detail.encode_to_vec().into())
    }
}

impl From<Status> for MatrixError {
    fn from(status: Status) -> Self {
        let detail = (!status.details().is_empty()).then(|| ErrorDetail::decode(status.details()).ok()).flatten();
        match detail {
            Some(detail) => from_detail(detail),
            None => from_code(&status),
        }
    }
}

fn from_detail(detail: ErrorDetail) -> MatrixError {
    let status = u16::try_from(detail.http_status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let extra: Map<String, Value> = serde_json::from_slice(&detail.extra_json).unwrap_or_default();
    let unnamed = detail.errcode.is_empty() && extra.is_empty();
    MatrixError {
        status,
        errcode: if unnamed { "M_UNKNOWN".to_owned() } else { detail.errcode },
        message: detail.message,
        retry_after_ms: (detail.retry_after_ms > 0).then_some(detail.retry_after_ms),
        extra,
    }
}

/// A status that no service of ours made: the transport, a deadline, a peer without the method.
fn from_code(status: &Status) -> MatrixError {
    match status.code() {
        // a call that is not signed as it should be: a rotation of `cluster.secret` on its way
        Code::Unauthenticated
        | Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::ResourceExhausted => MatrixError::unavailable(),
        _ => MatrixError::internal(),
    }
}

fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::Aborted,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Code::Unimplemented,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
        status if status.is_server_error() => Code::Internal,
        _ => Code::InvalidArgument,
    }
}
