//! Headers in and out: tokens, request ids, CORS, security.

use std::borrow::Cow;

use axum::{body::Body, response::IntoResponse as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use http_body::Body as _;
use matrixon_http::MatrixError;
use percent_encoding::percent_decode_str;

use super::Side;

const ALLOW_METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
const ALLOW_HEADERS: &str =
    "X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match, X-Request-Id";
const EXPOSE_HEADERS: &str = "ETag, Retry-After, X-Request-Id";

/// Nothing of ours is a web page; media has a policy of its own.
const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

const REQUEST_ID: HeaderName = HeaderName::from_static(matrixon_http::header::REQUEST_ID);

/// The longest request id that is taken over, in bytes.
const MAX_REQUEST_ID: usize = 100;

/// `M_MISSING_TOKEN` ← the header is there, but malformed
pub(super) fn access_token(head: &request::Parts) -> Result<Option<Cow<'_, str>>, MatrixError> {
    let malformed =
        || MatrixError { message: "the Authorization header is malformed".to_owned(), ..MatrixError::missing_token() };
    if let Some(value) = head.headers.get(header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| malformed())?;
        let (scheme, token) = value.split_once(' ').ok_or_else(malformed)?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
            return Err(malformed());
        }
        return Ok(Some(Cow::Borrowed(token.trim())));
    }
    let Some(token) = query_value(head.uri.query().unwrap_or_default(), "access_token") else { return Ok(None) };
    let token = percent_decode_str(token).decode_utf8().map_err(|_| MatrixError::unknown_token(false))?;
    Ok(Some(token))
}

/// The first value of a query parameter, still percent-encoded.
pub(super) fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The client's own request id, if it can be logged and sent on as it is.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = !id.is_empty()
        && id.len() <= MAX_REQUEST_ID
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    is_plain.then(|| id.to_owned())
}

pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

pub(super) fn method_not_allowed(methods: &[Method]) -> Response<Body> {
    let mut response = MatrixError::unrecognized(StatusCode::METHOD_NOT_ALLOWED).into_response();
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The answer to HEAD: the length is told, the body is not sent.
pub(super) fn without_body(mut response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|_| !response.headers().contains_key(header::CONTENT_LENGTH)) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::empty())
}

/// What every response carries.
pub(super) fn finish(headers: &mut HeaderMap, side: Side, request_id: &str) {
    if let Ok(request_id) = HeaderValue::try_from(request_id) {
        headers.insert(REQUEST_ID, request_id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if side == Side::Federation {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALLOW_METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOW_HEADERS));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE_HEADERS));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for (name, value) in
        [(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY), (header::CACHE_CONTROL, "no-store")]
    {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
