//! Calls between the roles of a cluster, whether the callee runs in this process or in N replicas elsewhere.
//!
//! [`Peers::role`] gives one [`Rpc`] per role: generated tonic clients sit on top of it (`AuthClient::new(rpc)`) and
//! the gateway forwards HTTP requests through it. What a call may ask for travels as request extensions: see [`request`].
//! A response body that must survive the death of its replica is asked for with [`call_buffered`].
#![forbid(unsafe_code)]

mod attempts;
mod body;
mod breaker;
mod budget;
mod buffered;
mod call;
pub mod config;
mod detail;
mod discovery;
mod dispatch;
mod error;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod metrics;
mod peers;
mod places;
mod replica;
pub mod request;
mod resolve;
mod select;
pub mod server;
#[cfg(test)]
mod tests;
mod timing;

pub use buffered::{Buffered, call_buffered};
pub use config::{Address, Config};
pub use detail::{ErrorDetail, decode_status, encode_status};
pub use error::RpcError;
pub use peers::{CALLER, Peers, ReplicaState, ReplicaStatus};
pub use request::{AffinityKey, Deadline, IDEMPOTENCY_KEY, Idempotent, Replayable, ServerStreaming, is_grpc};
pub use server::{local, server_router};

/// Any error, where its type does not matter any more.
pub type BoxError = tower::BoxError;

/// One client type for a role in this process and for replicas elsewhere. Its error is typed and not a [`BoxError`]: with
/// that, rustc refuses to spawn a future that holds a call of a generated client ("`From` is not general enough").
pub type Rpc =
    tower::util::BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, RpcError>;
