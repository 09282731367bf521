//! What tests need that is not ours: servers, clusters of real processes, and a client.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub mod client;
pub mod cluster;
pub mod ports;
pub mod process;
pub mod servers;
#[cfg(feature = "client")]
pub mod suite;
mod watchdog;

pub use cluster::Cluster;
