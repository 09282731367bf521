//! The HTTP face of every service: typed requests (ruma) with typed auth, route registration, errors.
//!
//! ```text
//! async fn handler(State(room): State<Room>, Matrix { req, auth, .. }: Matrix<leave_room::v3::Request, UserAuth>)
//!     -> Result<leave_room::v3::Response, RoomError> { … }
//!
//! pub fn routes() -> Routes<Room> {
//!     Routes::new(Role::Room).ruma(leave_room::handler, RouteOptions::room().limit(LimitClass::Join))
//! }
//! ```
//!
//! A service registers its handlers with [`Routes`]; paths and methods come from ruma's request types. The same
//! registrations yield the gateway's route table ([`RouteInfo`]). Identity arrives as an assertion
//! ([`assertion`]) that only a process with the cluster secret can make.
#![forbid(unsafe_code)]

mod access;
pub mod assertion;
pub mod auth;
pub mod error;
mod matrix;
mod response;
pub mod route;
mod routes;
pub mod strict;

pub use self::{
    access::{Access, Standing},
    assertion::{Assertion, Signer, UserAuth, Verifier},
    auth::{AdminAuth, Auth, NoAuth, OptionalAuth},
    error::MatrixError,
    matrix::{Matrix, Raw, RequestMeta},
    response::{IntoMatrixResponse, RawJson, RawResponse},
    route::{Affinity, AuthKind, LimitClass, RouteInfo, RouteKind, RouteOptions},
    routes::Routes,
};

/// Names of the headers that the gateway and the services exchange.
pub mod header {
    /// The identity assertion, gateway to service.
    pub const IDENTITY: &str = "x-matrixon-identity";
    /// `<queries>;<microseconds>`: the database's part in a response, service to gateway.
    pub const DATABASE: &str = "x-matrixon-db";
    /// `1` on the 401 of a service that did not accept the assertion, service to gateway.
    pub const REFUSED: &str = "x-matrixon-refused";
    /// The request id, accepted from and told to clients.
    pub const REQUEST_ID: &str = "x-request-id";
}
