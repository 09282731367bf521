//! Errors of services on the wire: a gRPC status whose details are one `matrixon.error.v1.ErrorDetail`.

pub use matrixon_proto::error::v1::ErrorDetail;
use prost::Message;
use tonic::{Code, Status};

/// A status with the detail in it; the code follows from the HTTP status a client would get.
pub fn encode_status(detail: &ErrorDetail) -> Status {
    Status::with_details(code_of(detail.http_status), detail.message.clone(), detail.encode_to_vec().into())
}

/// The detail of a status. A status without one (made by the transport, or by a version that knows none) gives
/// `M_UNKNOWN` and the HTTP status that its code means.
pub fn decode_status(status: &Status) -> ErrorDetail {
    match ErrorDetail::decode(status.details()) {
        Ok(detail) if !detail.errcode.is_empty() => {
            let http_status = if detail.http_status == 0 { http_of(status.code()) } else { detail.http_status };
            ErrorDetail { http_status, ..detail }
        }
        _ => ErrorDetail {
            errcode: "M_UNKNOWN".to_owned(),
            message: status.message().to_owned(),
            retry_after_ms: 0,
            http_status: http_of(status.code()),
            ..Default::default()
        },
    }
}

fn code_of(http_status: u32) -> Code {
    match http_status {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        405 | 501 => Code::Unimplemented,
        409 => Code::AlreadyExists,
        412 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        400..=499 => Code::InvalidArgument,
        502 | 503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

fn http_of(code: Code) -> u32 {
    match code {
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::FailedPrecondition => 412,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded | Code::Cancelled => 504,
        _ => 500,
    }
}
