//! The federation role: server-to-server traffic, in and out. It has its place in the house (a crate, a configuration
//! section, health, discovery) and serves nothing yet: its paths answer `M_UNRECOGNIZED`.
#![forbid(unsafe_code)]

mod config;
mod metrics;

use axum::Router;
pub use config::Config;
use matrixon_http::RouteInfo;

/// The federation role as the process merges it into its cluster listener.
pub struct Service {
    pub router: Router,
}

pub fn build(_config: &Config) -> Service {
    metrics::init();
    Service { router: Router::new() }
}

/// No routes yet: what asks for one falls through to the gateway's answer for unknown paths.
pub fn routes() -> Vec<RouteInfo> {
    Vec::new()
}
