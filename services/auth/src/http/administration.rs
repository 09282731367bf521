//! `/_matrixon/admin/v1/*`: the operations of `proto/admin/v1`, with their messages as JSON (docs/reference/admin-api.md).

use axum::extract::State;
use bytes::Bytes;
use http::Method;
use matrixon_http::{AdminAuth, LimitClass, MatrixError, Raw, RawJson, RouteOptions, Routes};
use matrixon_runtime::role::Role;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    admin::{import::import, log, registration_tokens, reports, users},
    audit::{Caller, Via},
    state::Auth,
};

/// Imports are the largest requests, in bytes.
const MAX_REQUEST: usize = 4 << 20;

pub(super) fn routes() -> Routes<Auth> {
    Routes::new(Role::Auth).merge(user_routes()).merge(change_routes()).merge(other_routes())
}

/// `Method path = operation, path parameters`: one route each.
macro_rules! routes {
    ($($method:ident $path:literal = $operation:path $(, $parameter:literal)*;)+) => {
        Routes::new(Role::Auth)$(.raw(
            Method::$method,
            $path,
            |State(auth): State<Auth>, raw: Raw<AdminAuth>| run(auth, raw, &[$($parameter),*], $operation),
            RouteOptions::any().limit(LimitClass::None).body_limit(MAX_REQUEST).unless_suspended(),
        ))+
    };
}

fn user_routes() -> Routes<Auth> {
    routes! {
        GET "/_matrixon/admin/v1/users" = users::list;
        POST "/_matrixon/admin/v1/users" = users::create;
        GET "/_matrixon/admin/v1/users/{user}" = users::get, "user";
        GET "/_matrixon/admin/v1/users/{user}/devices" = users::list_devices, "user";
        POST "/_matrixon/admin/v1/users/{user}/devices/delete" = users::delete_devices, "user";
        POST "/_matrixon/admin/v1/import/users" = import;
    }
}

fn change_routes() -> Routes<Auth> {
    routes! {
        POST "/_matrixon/admin/v1/users/{user}/reset_password" = users::reset_password, "user";
        POST "/_matrixon/admin/v1/users/{user}/promote" = users::promote, "user";
        POST "/_matrixon/admin/v1/users/{user}/demote" = users::demote, "user";
        POST "/_matrixon/admin/v1/users/{user}/lock" = users::lock, "user";
        POST "/_matrixon/admin/v1/users/{user}/unlock" = users::unlock, "user";
        POST "/_matrixon/admin/v1/users/{user}/suspend" = users::suspend, "user";
        POST "/_matrixon/admin/v1/users/{user}/unsuspend" = users::unsuspend, "user";
        POST "/_matrixon/admin/v1/users/{user}/deactivate" = users::deactivate, "user";
        POST "/_matrixon/admin/v1/users/{user}/reactivate" = users::reactivate, "user";
        POST "/_matrixon/admin/v1/users/{user}/erase" = users::erase, "user";
        DELETE "/_matrixon/admin/v1/users/{user}" = users::delete, "user";
        POST "/_matrixon/admin/v1/users/{user}/logout" = users::logout, "user";
    }
}

fn other_routes() -> Routes<Auth> {
    routes! {
        GET "/_matrixon/admin/v1/registration_tokens" = registration_tokens::list;
        POST "/_matrixon/admin/v1/registration_tokens" = registration_tokens::create;
        DELETE "/_matrixon/admin/v1/registration_tokens/{token}" = registration_tokens::revoke, "token";
        GET "/_matrixon/admin/v1/reports" = reports::list;
        GET "/_matrixon/admin/v1/reports/{report}" = reports::get, "report";
        DELETE "/_matrixon/admin/v1/reports/{report}" = reports::delete, "report";
        GET "/_matrixon/admin/v1/audit" = log::list;
        GET "/_matrixon/admin/v1/audit/head" = log::head;
    }
}

/// The request is made of the query (GET) or the body, and the parameters of the path.
/// `M_BAD_JSON`, `M_INVALID_PARAM` ← a field that the operation does not know, or of another type
async fn run<Q, R, Fut>(
    auth: Auth,
    raw: Raw<AdminAuth>,
    parameters: &'static [&'static str],
    operation: impl FnOnce(Auth, Caller, Q) -> Fut + Send,
) -> Result<RawJson, MatrixError>
where
    Q: DeserializeOwned + Send,
    R: Serialize,
    Fut: Future<Output = Result<R, MatrixError>> + Send,
{
    let caller = Caller::new(raw.auth.name(), Via::Rest, &raw.meta);
    let request = read(&raw, parameters)?;
    let answer = operation(auth, caller, request).await?;
    let answer = serde_json::to_vec(&answer).map_err(|error| {
        tracing::error!(%error, "an answer cannot be encoded");
        MatrixError::internal()
    })?;
    Ok(RawJson(Bytes::from(answer)))
}

fn read<Q: DeserializeOwned>(raw: &Raw<AdminAuth>, parameters: &[&str]) -> Result<Q, MatrixError> {
    let in_path = parameters.iter().copied().zip(raw.path_args.iter().map(String::as_str));
    if raw.parts.method == Method::GET {
        let in_path: Vec<(&str, &str)> = in_path.collect();
        let in_path = serde_html_form::to_string(in_path).map_err(|_| MatrixError::internal())?;
        let query = format!("{}&{in_path}", raw.parts.uri.query().unwrap_or_default());
        return serde_html_form::from_str(query.trim_matches('&'))
            .map_err(|error| MatrixError::invalid_param(format!("the query: {error}")));
    }
    let bad = |error: serde_json::Error| MatrixError::bad_json(format!("the body: {error}"));
    let mut body: Map<String, Value> =
        if raw.body.is_empty() { Map::new() } else { serde_json::from_slice(&raw.body).map_err(bad)? };
    body.extend(in_path.map(|(name, value)| (name.to_owned(), Value::from(value))));
    serde_json::from_value(Value::Object(body)).map_err(bad)
}
