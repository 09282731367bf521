//! User-interactive authentication, one module for every endpoint that needs it.
//!
//! An endpoint takes [`Uia<R>`] instead of ruma's request `R` and calls [`authenticate`] with its [`Policy`]. Until a
//! flow is complete that returns [`AuthError::Challenge`](crate::error::AuthError::Challenge) (the 401 of the
//! specification), afterwards `R`, built from the body of this request, or of the first one where the client sent
//! nothing but `auth`.
//!
//! A session that made an account is kept: shown again with the same parameters it leads to a log-in of that account.
//!
//! Sessions live in the cache, sealed with their own id. They name the operation (method, path with its parameters,
//! user) that they were made for, and complete no other. When the cache has lost a session, a flow of one stage
//! completes anyway.
//!
//! A stage may also be completed on a web page ([`fallback`]), on whichever replica: completed stages lie beside the
//! session, each on its own, so that nobody who reads, thinks and writes undoes what others have completed meanwhile.

mod authenticate;
pub(crate) mod captcha;
pub(crate) mod fallback;
mod params;
mod request;
mod seal;
mod session;
mod stages;
#[cfg(test)]
mod tests;

use matrixon_http::MatrixError;
use serde_json::{Map, Value, json};

pub(crate) use self::{
    authenticate::{Done, Policy, authenticate, find_registered, reject},
    params::build_params,
    request::Uia,
    stages::{Failure, Stage},
};

/// Stages that together authenticate, in the order in which clients should do them.
pub(crate) type Flow = Vec<Stage>;

/// What a client is told until it has completed a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub flows: Vec<Flow>,
    /// What clients must know to show the stages.
    pub params: Map<String, Value>,
    pub completed: Vec<Stage>,
    pub session: String,
    /// Why the last stage failed.
    pub failure: Option<Failure>,
}

impl From<Challenge> for MatrixError {
    fn from(challenge: Challenge) -> Self {
        let flows: Vec<Value> = challenge.flows.iter().map(|stages| json!({ "stages": stages })).collect();
        let mut body = Map::new();
        body.insert("flows".to_owned(), flows.into());
        body.insert("params".to_owned(), challenge.params.into());
        body.insert("session".to_owned(), challenge.session.into());
        body.insert("completed".to_owned(), json!(challenge.completed));
        let mut error = Self::uia(body);
        if let Some(failure) = challenge.failure {
            failure.errcode.clone_into(&mut error.errcode);
            failure.message.clone_into(&mut error.message);
        }
        error
    }
}
