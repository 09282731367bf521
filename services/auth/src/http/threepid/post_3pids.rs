//! `POST /_matrix/client/*/account/3pid`, deprecated —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pid>
//!
//! The same as `…/3pid/add`, whose parameters it has in `three_pid_creds`. It asks for the password, too, unless
//! configured otherwise.
//!
//! Errors: see [`add_3pid`](super::add_3pid)

use axum::extract::State;
use http::Method;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::{
    IncomingRequest, Metadata,
    client::account::{add_3pid, get_3pids},
    error::DeserializationError,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::AuthError,
    state::Auth,
    threepids::{Credentials, add::add},
    uia::{self, Policy, Uia},
};

/// ruma has no such request: its path is that of another, its parameters are those of a third.
pub(crate) struct Request(add_3pid::v3::Request);

#[tracing::instrument(name = "auth.http.threepid.post_3pids", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, meta, .. }: Matrix<Uia<Request>, UserAuth>,
) -> Result<add_3pid::v3::Response, AuthError> {
    let creds = |req: &add_3pid::v3::Request| Credentials {
        sid: req.sid.to_string(),
        client_secret: req.client_secret.to_string(),
    };
    let creds = match request.request() {
        Some(Request(req)) if auth.config.email.add_without_password => creds(req),
        _ => creds(&uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req.0),
    };
    add(&auth, &requester.user_id, &creds, &meta).await?;
    Ok(add_3pid::v3::Response::new())
}

impl Metadata for Request {
    const METHOD: Method = Method::POST;
    const RATE_LIMITED: bool = add_3pid::v3::Request::RATE_LIMITED;
    type Authentication = <add_3pid::v3::Request as Metadata>::Authentication;
    type PathBuilder = <get_3pids::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = get_3pids::v3::Request::PATH_BUILDER;
}

impl IncomingRequest for Request {
    type EndpointError = <add_3pid::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = add_3pid::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(alias = "threePidCreds")]
            three_pid_creds: Value,
        }
        let (parts, body) = request.into_parts();
        let body: Body = serde_json::from_slice(body)?;
        let creds = serde_json::to_vec(&body.three_pid_creds)?;
        let request = http::Request::from_parts(parts, creds.as_slice());
        add_3pid::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}
