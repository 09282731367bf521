//! Administration at the edge: who may, and what gRPC needs beside HTTP.

use axum::body::Body;
use http::{HeaderMap, Response, request};
use matrixon_http::{AuthKind, MatrixError, UserAuth};
use matrixon_rpc::IDEMPOTENCY_KEY;
use matrixon_runtime::{config::Secret, random};
use sha2::{Digest as _, Sha256};

use super::headers::access_token;

/// What the holder of `gateway.admin_token` is called in the audit log.
const MACHINE: &str = "token";
/// A key that a client chose, in bytes.
const MAX_KEY: usize = 128;

/// The paths of administration, of gRPC and of REST.
pub(super) fn is_admin_path(path: &str) -> bool {
    path.starts_with("/matrixon.admin.") || path.starts_with("/_matrixon/admin/")
}

/// `gateway.admin_token` in the one form that is kept in memory.
pub(crate) struct AdminToken(Option<[u8; 32]>);

impl AdminToken {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self((!secret.is_empty()).then(|| Sha256::digest(secret.expose().as_bytes()).into()))
    }

    /// The machine behind a request, if it is one. Comparing hashes tells nobody how much of a guess was right.
    pub(super) fn machine(&self, kind: AuthKind, head: &request::Parts) -> Result<Option<String>, MatrixError> {
        let (AuthKind::Admin, Some(expected)) = (kind, self.0) else { return Ok(None) };
        let Some(token) = access_token(head)? else { return Ok(None) };
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        Ok((given == expected).then(|| MACHINE.to_owned()))
    }
}

/// `M_FORBIDDEN` ← a user who is no administrator
pub(super) fn check_permission(kind: AuthKind, user: &UserAuth) -> Result<(), MatrixError> {
    if kind == AuthKind::Admin && !user.admin {
        return Err(MatrixError::forbidden("only administrators may do this"));
    }
    Ok(())
}

/// The key under which services do a request once. In administration it may be the caller's own, so that the caller can try
/// again too; it is no one else's then, whatever others choose.
pub(super) fn idempotency_key(kind: AuthKind, headers: &HeaderMap, caller: &str) -> String {
    let own = headers.get(IDEMPOTENCY_KEY).filter(|key| kind == AuthKind::Admin && key.len() <= MAX_KEY);
    let Some(own) = own.filter(|key| !key.is_empty()) else { return random::id(22) };
    let hash = Sha256::new().chain_update(caller).chain_update([0]).chain_update(own.as_bytes()).finalize();
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

/// An error of the edge as gRPC says it: status and detail in the headers, no body.
pub(super) fn rpc_error(error: MatrixError) -> Response<Body> {
    tonic::Status::from(error).into_http()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn head(token: &str) -> request::Parts {
        Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_token_and_only_in_administration() {
        let token = AdminToken::new(&Secret::new("a long secret of a machine's own"));
        let machine = |kind, text| token.machine(kind, &head(text)).unwrap();
        assert_eq!(machine(AuthKind::Admin, "a long secret of a machine's own").as_deref(), Some("token"));
        assert_eq!(machine(AuthKind::Admin, "a long secret"), None);
        assert_eq!(machine(AuthKind::User, "a long secret of a machine's own"), None);
        let unset = AdminToken::new(&Secret::default());
        assert_eq!(unset.machine(AuthKind::Admin, &head("x")).unwrap(), None);
    }

    #[test]
    fn a_key_belongs_to_its_caller() {
        let mut headers = HeaderMap::new();
        let key = |headers: &HeaderMap, caller| idempotency_key(AuthKind::Admin, headers, caller);
        assert_ne!(key(&headers, "a"), key(&headers, "a"));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("mine"));
        assert_eq!(key(&headers, "a"), key(&headers, "a"));
        assert_ne!(key(&headers, "a"), key(&headers, "b"));
        let elsewhere = || idempotency_key(AuthKind::User, &headers, "a");
        assert_ne!(elsewhere(), elsewhere());
    }
}
