//! The arguments of handlers: a typed request ([`Matrix`]) or the plain parts of one ([`Raw`]).

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use ruma::api::{IncomingRequest, IncomingRequestExt};

use crate::{
    assertion::Assertion,
    auth::Auth,
    error::{MatrixError, from_http_request_error},
};

/// A request of ruma's type `Req` by a requester of kind `A`.
#[derive(Debug)]
pub struct Matrix<Req, A> {
    pub req: Req,
    pub auth: A,
    /// The body as the client sent it (`{}` when it was empty and JSON was expected).
    pub body: Bytes,
    pub meta: RequestMeta,
}

/// A request that ruma's types cannot express.
#[derive(Debug)]
pub struct Raw<A> {
    /// Method, URI (query) and headers.
    pub parts: Parts,
    /// Percent-decoded path parameters in the template's order.
    pub path_args: Vec<String>,
    pub auth: A,
    pub body: Bytes,
    pub meta: RequestMeta,
}

/// What the gateway says about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestMeta {
    pub request_id: String,
    /// The same for every attempt at one client request.
    pub idempotency_key: String,
    pub remote_addr: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// A verified request on its way to a type-erased handler.
pub(crate) struct Incoming {
    pub(crate) parts: Parts,
    pub(crate) path_args: Vec<String>,
    pub(crate) body: Bytes,
    pub(crate) assertion: Assertion,
}

impl Incoming {
    pub(crate) fn into_matrix<Req: IncomingRequest, A: Auth>(self) -> Result<Matrix<Req, A>, MatrixError> {
        let auth = A::from_assertion(&self.assertion)?;
        let meta = meta_of(&self.parts, self.assertion);
        let path_args: Vec<&str> = self.path_args.iter().map(String::as_str).collect();
        let request = http::Request::from_parts(self.parts, &self.body[..]);
        let req = Req::try_from_http_request(request, &path_args).map_err(|error| from_http_request_error(&error))?;
        Ok(Matrix { req, auth, body: self.body, meta })
    }

    pub(crate) fn into_raw<A: Auth>(self) -> Result<Raw<A>, MatrixError> {
        let auth = A::from_assertion(&self.assertion)?;
        let meta = meta_of(&self.parts, self.assertion);
        Ok(Raw { parts: self.parts, path_args: self.path_args, auth, body: self.body, meta })
    }
}

fn meta_of(parts: &Parts, assertion: Assertion) -> RequestMeta {
    let user_agent = parts.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    RequestMeta {
        request_id: assertion.request_id,
        idempotency_key: assertion.idempotency_key,
        remote_addr: assertion.remote_addr,
        user_agent: user_agent.map(str::to_owned),
    }
}
