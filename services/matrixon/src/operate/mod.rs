//! What an operator asks of one running process: `matrixon admin status|metrics|drain|reload|log-level|profile`.
//!
//! It lives on the cluster port beside the roles, under [`PREFIX`], because that is the one port that is known of every replica. A
//! request carries an assertion of who has the cluster secret, made with a key of its own and good for one request for 30 s.

mod answer;
mod ask;
mod profile;
mod record;
mod serve;

pub(crate) use self::{
    answer::{Pool, Schema, Status, StreamStatus},
    ask::{Asked, Operator, Replica},
    profile::{Kind, MAX_SECONDS, Profiler},
    record::Deed,
    serve::{Process, router},
};

use matrixon_http::{Assertion, Signer, Verifier};
use matrixon_runtime::{clock::Clock, config::ClusterConfig};

use crate::settings::derive_key;

/// Nothing of Matrix is there.
pub(crate) const PREFIX: &str = "/_matrixon/process";
/// The header that carries the assertion.
pub(crate) const OPERATOR: &str = "x-matrixon-operator";

const LIFETIME_MS: i64 = 30_000;
/// Replicas asked at once.
const WIDTH: usize = 32;

/// Not the key of the gateway's assertions: whoever could make the gateway assert something must not become an operator.
fn derive(secret: &str) -> Vec<u8> {
    derive_key(secret, b"matrixon operator v1")
}

fn signer(config: &ClusterConfig) -> Signer {
    Signer::new(&derive(config.secret.expose()))
}

pub(crate) fn verifier(config: &ClusterConfig, clock: Clock) -> Verifier {
    let verifier = Verifier::new(&[], None, clock);
    set_secrets(&verifier, config);
    verifier
}

/// For a rotated secret.
pub(crate) fn set_secrets(verifier: &Verifier, config: &ClusterConfig) {
    let previous = Some(config.previous_secret.expose()).filter(|secret| !secret.is_empty()).map(derive);
    verifier.set_secrets(&derive(config.secret.expose()), previous.as_deref());
}

/// For this request and no other.
fn assertion(method: &str, path_and_query: &str, now_ms: i64) -> Assertion {
    Assertion {
        request_id: format!("{method} {path_and_query}"),
        machine: Some(operator()),
        expires_ms: now_ms + LIFETIME_MS,
        ..Assertion::default()
    }
}

/// What the audit log calls whoever sits at this terminal: `cli:LOGIN@HOST`.
pub(crate) fn operator() -> String {
    let login = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let login = login.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "localhost".to_owned());
    format!("cli:{login}@{}", host.trim())
}
