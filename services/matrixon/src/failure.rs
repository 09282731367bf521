//! Why a command failed, as its exit code says.

use std::fmt::Display;

use matrixon_rpc::decode_status;
use matrixon_runtime::config::find_bad_certificate;
use rustls::CertificateError;
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
pub(crate) struct Fault {
    /// A moment later it may be another.
    pub(crate) passing: bool,
    /// Nobody has seen the call.
    pub(crate) untouched: bool,
    pub(crate) retry_after_ms: u64,
    /// What is wrong with the certificate that was shown, if that is why.
    untrusted: Option<String>,
    status: Status,
}

impl Fault {
    pub(crate) fn new(status: Status) -> Self {
        let detail = decode_status(&status);
        let from_transport = status.details().is_empty();
        let untrusted = find_untrusted(&status);
        let absent = from_transport && status.code() != tonic::Code::Unimplemented;
        Self {
            passing: untrusted.is_none() && (absent || matches!(detail.http_status, 429 | 502 | 503 | 504)),
            untouched: is_connect_error(&status),
            retry_after_ms: detail.retry_after_ms,
            untrusted,
            status,
        }
    }

    /// `maybe_done`: one of the attempts may have had its effect.
    pub(crate) fn into_failure(self, place: &str, maybe_done: bool) -> Failure {
        let detail = decode_status(&self.status);
        if self.passing || self.untrusted.is_some() {
            let reason = reason(&self.status);
            let what = match self.untrusted {
                Some(wrong) => format!("the certificate of {place} is not trusted: {wrong}"),
                None if maybe_done => format!("{place} did not answer ({reason})"),
                None => format!("{place} cannot be reached ({reason})"),
            };
            return Failure::unreachable(if maybe_done {
                format!(
                    "{what}; whether the command took effect is not known: run it again, or look with `show` and `audit list`"
                )
            } else {
                format!("{what}; nothing was done")
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

fn find_untrusted(status: &Status) -> Option<String> {
    Some(match find_bad_certificate(status)? {
        CertificateError::UnknownIssuer => {
            "nobody has signed it whom this machine trusts; `--ca-file` names an authority of your own".to_owned()
        }
        wrong => wrong.to_string(),
    })
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
    use std::io;

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

    #[test]
    fn a_certificate_that_is_not_trusted_is_no_passing_fault() {
        let refused = |wrong| {
            let error = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(wrong));
            Fault::new(Status::from_error(Box::new(ConnectError(Box::new(error)))))
        };
        let fault = refused(CertificateError::UnknownIssuer);
        assert!(!fault.passing && fault.untouched);
        let failure = fault.into_failure("https://a.org", false);
        let message = failure.to_string();
        assert_eq!(failure.code(), 5);
        assert!(message.starts_with("the certificate of https://a.org is not trusted: "), "{message}");
        assert!(message.contains("--ca-file") && message.ends_with("; nothing was done"), "{message}");
        let message = refused(CertificateError::Expired).into_failure("https://a.org", true).to_string();
        assert!(message.contains("Expired") && message.contains("is not known"), "{message}");
    }
}
