//! Administration that was refused at the edge: it counts, has a line in the log, and is in the audit log if an account
//! asked for it. What strangers ask for is not: they are without number, and the audit log is kept for ever.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;
use matrixon_http::{Assertion, MatrixError, RouteInfo, RouteKind, UserAuth, assertion::LIFETIME_MS, header::IDENTITY};
use matrixon_proto::auth::v1::{RecordAuditRequest, audit_log_client::AuditLogClient};
use matrixon_runtime::{
    metrics::{IntCounter, counter},
    random,
    role::Role,
};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::{sync::Semaphore, time::timeout};
use tonic::Request;

use super::{Parts, access::AccessEntry};

/// What the audit log calls a request that went no further.
const ACTION: &str = "admin.request";
const DENIED: &str = "denied";
/// Characters of what a path says.
const MAX_CHARS: usize = 255;
const RECORD_WITHIN: Duration = Duration::from_secs(30);
/// How long an answer waits for its record at most.
const WAIT: Duration = Duration::from_secs(2);

/// Records under way; of the others there is only the line in the log.
const MAX_RECORDS: usize = 64;

/// The counters exist from the start: the first refusal matters.
pub(crate) struct Refusals {
    records: Arc<Semaphore>,
    accounts: IntCounter,
    strangers: IntCounter,
}

/// A request and why it was refused.
pub(super) struct Refused<'a> {
    pub(super) info: &'a RouteInfo,
    pub(super) path: &'a str,
    pub(super) remote: IpAddr,
    pub(super) error: &'a MatrixError,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        let refused = counter("admin_refused_total", "Requests for administration that were refused.", &["who"]);
        Self {
            records: Arc::new(Semaphore::new(MAX_RECORDS)),
            accounts: refused.with_label_values(&["account"]),
            strangers: refused.with_label_values(&["stranger"]),
        }
    }

    pub(super) async fn note(&self, parts: &Parts, refused: Refused<'_>, entry: &AccessEntry) {
        if !matches!(refused.error.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return; // who it was could not be found out
        }
        let (request_id, requester) = (entry.request_id(), entry.requester());
        tracing::warn!(
            errcode = refused.error.errcode,
            method = refused.info.method.as_str(),
            route = refused.info.path,
            requester = requester.map_or("-", |user| user.user_id.as_str()),
            remote = %refused.remote,
            request_id,
            "administration refused"
        );
        let Some(user) = requester else {
            self.strangers.inc();
            return;
        };
        self.accounts.inc();
        let Ok(place) = Arc::clone(&self.records).try_acquire_owned() else { return };
        let mut log = AuditLogClient::new(parts.peers.role(Role::Auth));
        let request = build_request(parts, &refused, user, request_id);
        let request_id = request_id.to_owned();
        // a task of its own: whoever hangs up is recorded all the same
        let recorded = tokio::spawn(async move {
            if let Err(status) = log.record(request).await {
                tracing::warn!(%status, request_id, "a refused request is not in the audit log");
            }
            drop(place);
        });
        let _late = timeout(WAIT, recorded).await;
    }
}

fn build_request(
    parts: &Parts,
    refused: &Refused<'_>,
    user: &UserAuth,
    request_id: &str,
) -> Request<RecordAuditRequest> {
    let assertion = Assertion {
        user: Some(user.clone()),
        machine: None,
        remote_addr: Some(refused.remote),
        request_id: request_id.to_owned(),
        idempotency_key: random::id(22),
        expires_ms: parts.clock.now_ms() + LIFETIME_MS,
    };
    let mut request = Request::new(refused.to_message());
    request.metadata_mut().as_mut().insert(IDENTITY, parts.signer.sign(&assertion));
    request.set_timeout(RECORD_WITHIN);
    request
}

impl Refused<'_> {
    fn to_message(&self) -> RecordAuditRequest {
        let mut details = json!({ "errcode": self.error.errcode });
        if let Some(user) = subject(&self.info.path, self.path) {
            details["user"] = user.into();
        }
        let is_rpc = self.info.kind == RouteKind::Rpc;
        let path = &self.info.path;
        RecordAuditRequest {
            via: if is_rpc { "grpc" } else { "rest" }.to_owned(),
            action: ACTION.to_owned(),
            target: if is_rpc { path.clone() } else { format!("{} {path}", self.info.method) },
            result: DENIED.to_owned(),
            details: details.to_string(),
        }
    }
}

/// Whom a request is about, where its path tells. Other parameters stay where they are: some are secrets.
fn subject(template: &str, path: &str) -> Option<String> {
    let number = template.split('/').position(|segment| segment == "{user}")?;
    let user = percent_decode_str(path.split('/').nth(number)?).decode_utf8_lossy();
    Some(user.chars().take(MAX_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::subject;

    #[test]
    fn the_user_is_told_and_nothing_else() {
        assert_eq!(subject("/a/users/{user}/lock", "/a/users/%40b%3Ax/lock").as_deref(), Some("@b:x"));
        assert_eq!(subject("/a/users/{user}", "/a/users/b/").as_deref(), Some("b"));
        assert_eq!(subject("/a/tokens/{token}", "/a/tokens/secret"), None);
        assert_eq!(subject("/a.Users/List", "/a.Users/List"), None);
    }
}
