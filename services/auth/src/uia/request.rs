//! A request with an `auth` object in its body, which ruma's types would parse too strictly and forget to replay.

use http::{Method, Uri};
use ruma::api::{IncomingRequest, Metadata, error::DeserializationError, path_builder::PathBuilder as _};
use serde::{Deserialize as _, de::Error as _};
use serde_json::{Map, Value};

/// A request `R` whose `auth` has been set aside.
pub(crate) struct Uia<R> {
    /// None: it must be built from the session's parameters.
    pub(super) req: Option<R>,
    pub(super) auth: Option<AuthDict>,
    /// The body without `auth`.
    pub(super) params: Map<String, Value>,
    uri: Uri,
    path_args: Vec<String>,
}

/// The `auth` object.
#[derive(Default)]
pub(super) struct AuthDict {
    pub(super) stage: Option<String>,
    pub(super) session: Option<String>,
    pub(super) members: Map<String, Value>,
}

impl<R> Uia<R> {
    /// The request, unless its parameters must come from the session.
    pub(crate) fn request(&self) -> Option<&R> {
        self.req.as_ref()
    }

    /// Nothing but `auth` was sent: the parameters are those of the session.
    pub(crate) fn is_replay(&self) -> bool {
        self.params.is_empty()
    }
}

impl<R: IncomingRequest> Uia<R> {
    /// What a session is for: no two operations have the same text.
    pub(super) fn operation(&self) -> String {
        let template = R::PATH_BUILDER.all_paths().next().unwrap_or_default();
        serde_json::json!([R::METHOD.as_str(), template, self.path_args, self.uri.query()]).to_string()
    }

    /// Builds the request from other parameters than those of its body.
    pub(super) fn build(&self, params: &Map<String, Value>) -> Result<R, DeserializationError> {
        build(&self.uri, params, &self.path_args)
    }
}

impl<R: Metadata> Metadata for Uia<R> {
    const METHOD: Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for Uia<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = if request.body().is_empty() { b"{}" } else { *request.body() };
        let mut params: Map<String, Value> = serde_json::from_slice(body)?;
        let auth = parse_auth(params.remove("auth"))?;
        let uri = request.uri().clone();
        let path_args: Vec<String> = path_args.iter().map(|arg| (*arg).to_owned()).collect();
        let replays = params.is_empty() && auth.as_ref().is_some_and(|auth| auth.session.is_some());
        let req = match build(&uri, &params, &path_args) {
            Ok(req) => Some(req),
            Err(_) if replays => None,
            Err(error) => return Err(error),
        };
        Ok(Self { req, auth, params, uri, path_args })
    }
}

fn build<R: IncomingRequest>(
    uri: &Uri,
    params: &Map<String, Value>,
    path_args: &[String],
) -> Result<R, DeserializationError> {
    let body = serde_json::to_vec(params)?;
    let mut request = http::Request::new(body.as_slice());
    *request.method_mut() = R::METHOD;
    *request.uri_mut() = uri.clone();
    let path_args: Vec<&str> = path_args.iter().map(String::as_str).collect();
    R::try_from_http_request_inner(request, &path_args)
}

fn parse_auth(auth: Option<Value>) -> Result<Option<AuthDict>, serde_json::Error> {
    let members = match auth {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(serde_json::Error::custom("`auth` must be an object")),
    };
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => String::deserialize(value).map(Some),
    };
    Ok(Some(AuthDict { stage: text("type")?, session: text("session")?, members }))
}
