//! `AuditLog`: gateways record what they refuse, the command line what it does to processes. As with administration itself,
//! only an assertion is believed, whether calls must be signed or not: nobody else adds to the log.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use matrixon_http::{Assertion, MatrixError, RequestMeta, Verifier};
use matrixon_proto::auth::v1::{
    RecordAuditRequest, RecordAuditResponse,
    audit_log_server::{AuditLog, AuditLogServer},
};
use serde_json::{Map, Value};
use tonic::{Request, Response, Status, service::RoutesBuilder};

use super::verify;
use crate::{
    audit::{self, Caller, Entry, Via},
    error::AuthError,
    state::Auth,
};

/// Details are a few numbers, names and a reason, in bytes.
const MAX_DETAILS: usize = 4_096;

struct Log {
    auth: Auth,
    verifier: Verifier,
}

pub(super) fn add(routes: &mut RoutesBuilder, auth: Auth, verifier: Verifier) {
    routes.add_service(AuditLogServer::new(Log { auth, verifier }));
}

#[tonic::async_trait]
impl AuditLog for Log {
    #[tracing::instrument(name = "auth.rpc.audit_log", skip_all)]
    async fn record(&self, request: Request<RecordAuditRequest>) -> Result<Response<RecordAuditResponse>, Status> {
        let assertion = verify(&self.verifier, &request)?;
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let request = request.into_inner();
        let caller = caller(assertion, &request.via, peer)?;
        let mut entry = Entry::new(request.action, request.target);
        entry.details = details(&request.details)?;
        audit::record(&self.auth, (&caller, &entry), &request.result).await?;
        Ok(Response::new(RecordAuditResponse {}))
    }
}

/// `peer` is where it comes from if the assertion does not say: a command calls by itself.
fn caller(assertion: Assertion, via: &str, peer: Option<IpAddr>) -> Result<Caller, MatrixError> {
    let via = Via::parse(via).ok_or_else(|| MatrixError::invalid_param("there is no such door"))?;
    let user = assertion.user.map(|user| user.user_id.to_string());
    let actor = user.or(assertion.machine).ok_or_else(MatrixError::missing_token)?;
    let meta = RequestMeta {
        request_id: assertion.request_id,
        idempotency_key: assertion.idempotency_key,
        remote_addr: assertion.remote_addr.or(peer),
        user_agent: None,
    };
    Ok(Caller::new(actor, via, &meta))
}

fn details(text: &str) -> Result<Map<String, Value>, AuthError> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let parsed = if text.len() <= MAX_DETAILS { serde_json::from_str(text).ok() } else { None };
    parsed.ok_or_else(|| AuthError::InvalidParam(format!("details are a JSON object of at most {MAX_DETAILS} bytes")))
}
