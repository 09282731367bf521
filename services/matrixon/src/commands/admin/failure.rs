//! Why a command failed, as its exit code says.

use std::fmt::Display;

use matrixon_rpc::decode_status;
use tonic::{ConnectError, Status};

/// One sentence, and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// What was asked for is not possible as things are.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    fn unreachable(message: String) -> Self {
        Self { code: 5, message }
    }
}

/// What became of one attempt at a call.
pub(super) struct Fault {
    /// A moment later it may be another.
    pub(super) passing: bool,
    /// Nobody has seen the call.
    pub(super) untouched: bool,
    pub(super) retry_after_ms: u64,
    status: Status,
}

impl Fault {
    pub(super) fn new(status: Status) -> Self {
        let detail = decode_status(&status);
        let from_transport = status.details().is_empty();
        Self {
            passing: from_transport && status.code() != tonic::Code::Unimplemented
                || matches!(detail.http_status, 429 | 502 | 503 | 504),
            untouched: is_connect_error(&status),
            retry_after_ms: detail.retry_after_ms,
            status,
        }
    }

    /// `maybe_done`: one of the attempts may have had its effect.
    pub(super) fn into_failure(self, place: &str, maybe_done: bool) -> Failure {
        let detail = decode_status(&self.status);
        if self.passing {
            let reason = reason(&self.status);
            return Failure::unreachable(if maybe_done {
                format!(
                    "{place} did not answer ({reason}); whether the command took effect is not known: run it again, or look with \
                     `show` and `audit list`"
                )
            } else {
                format!("{place} cannot be reached ({reason}); nothing was done")
            });
        }
        let code = match detail.http_status {
            404 => 3,
            401 | 403 => 4,
            _ => 1,
        };
        Failure { code, message: format!("{} ({})", detail.message, detail.errcode) }
    }
}

fn is_connect_error(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The innermost cause: "connection refused" says more than "transport error".
fn reason(status: &Status) -> String {
    let mut innermost = None;
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        innermost = Some(error.to_string());
        cause = error.source();
    }
    innermost.unwrap_or_else(|| status.message().to_owned())
}

#[cfg(test)]
mod tests {
    use matrixon_rpc::{ErrorDetail, encode_status};

    use super::*;

    fn fault(http_status: u32) -> Fault {
        let detail =
            ErrorDetail { errcode: "M_X".to_owned(), message: "why".to_owned(), http_status, ..Default::default() };
        Fault::new(encode_status(&detail))
    }

    #[test]
    fn exit_codes() {
        for (http_status, code) in [(400, 1), (404, 3), (401, 4), (403, 4), (500, 1), (503, 5), (504, 5)] {
            assert_eq!(fault(http_status).into_failure("it", true).code(), code, "{http_status}");
        }
        assert_eq!(fault(404).into_failure("it", true).to_string(), "why (M_X)");
        let lost = Fault::new(Status::unknown("transport error"));
        assert!(lost.passing && !lost.untouched);
        let failure = lost.into_failure("https://a.org", true);
        assert_eq!(failure.code(), 5);
        assert!(failure.to_string().contains("is not known"), "{failure}");
    }
}
